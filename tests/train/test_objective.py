"""Learning an encoder's features without labels."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from train.config import Config
from train.data import load_data
from train.objective import FeatureStudent, RelativeSquaredError
from train.trainer import Run


@pytest.fixture(scope="module")
def config(trained_vit, digits_dir):
    return Config(
        data_dir=str(digits_dir),
        train_split="train[:192]",
        validation_split="train[192:224]",
        test_split="test[:35]",
        objective="features",
        init_from=str(trained_vit[0]),
        num_mux=(2, 1),
        batch_size=32,
        learning_rate=1e-3,
        warmup_epochs=0.0,
        epochs=2,
    )


@pytest.fixture(scope="module")
def adapted(config, tmp_path_factory):
    """The workdir and results of a run, and the cosine that it began with."""
    workdir = tmp_path_factory.mktemp("adapted")
    run = Run(config, workdir)
    before = mean_cosine(run.model.at(2), config)
    return workdir, run.fit(), before


def mean_cosine(model, config):
    teacher = kcp.bundle.load_model(config.init_from)
    images = np.concatenate([x for x, _ in load_data(config).batches("test", 35)])
    taught, found = (m.features.predict(images, verbose=0) for m in (teacher, model))
    lengths = np.linalg.norm(taught, axis=-1) * np.linalg.norm(found, axis=-1)
    return np.mean(np.sum(taught * found, axis=-1) / lengths)


def test_the_features_come_nearer_to_the_encoders(adapted, config):
    workdir, results, before = adapted
    two, one = results["per_num_mux"]
    assert two["cosine"] == results["test_cosine"] > before
    assert one["cosine"] > two["cosine"]
    model = kcp.bundle.load_model(workdir)
    assert two["cosine"] == pytest.approx(mean_cosine(model.at(2), config), abs=1e-4)
    assert "test_accuracy" not in results


def test_the_model_is_one_of_features(adapted):
    workdir, results, _ = adapted
    model = kcp.bundle.load_model(workdir)
    assert model.output_shape == (None, 64)
    assert kcp.vit.read_stages(model.vit).num_classes is None
    assert kcp.bundle.read_description(workdir).class_names == ()
    assert len(results["history"]["val_cosine_n2"]) == 2


@pytest.mark.large
def test_it_goes_on(adapted, config):
    workdir, results, _ = adapted
    run = Run(dataclasses.replace(config, epochs=3), workdir)
    assert run.progress.epochs == 2
    assert len(run.fit()["history"]["val_loss"]) == 3


def test_a_folder_of_one_class_will_do(config, tmp_path):
    folder = tmp_path / "images" / "all"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(8):
        image = rng.integers(0, 256, (16, 16, 1), "uint8")
        (folder / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
    name = f"folder:{tmp_path / 'images'}"
    unlabelled = Config(dataset=name, objective="features", init_from="x")
    assert load_data(unlabelled).num_images("train") > 0
    with pytest.raises(ValueError, match="of 1 classes: all. Expected 2 or more"):
        load_data(Config(dataset=name))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init_from": ""}, "needs --init_from or --teacher"),
        ({"label_smoothing": 0.1}, "it needs --objective=labels"),
        ({"in_place_weight": 0.1}, "it needs --objective=labels, and"),
        ({"teacher": "x", "teacher_weight": 0.1}, "needs --teacher and --objective"),
    ],
)
def test_settings_that_do_not_fit(config, changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(config, **changes).check()


def test_the_loss_is_relative_and_weighted():
    taught = np.array([[3.0, 4.0], [0.0, 2.0]], "float32")
    given = np.array([[3.0, 0.0], [0.0, 1.0]], "float32")
    loss = RelativeSquaredError()
    assert float(loss(taught, given)) == pytest.approx((16 / 25 + 1 / 4) / 2)
    assert float(loss(10 * taught, 10 * given)) == pytest.approx(0.445)


def test_filling_rows_do_not_count(tiny_vit, images, scramble):
    teacher = kcp.vit.with_classes(scramble(tiny_vit), None)
    student = kcp.vit.with_classes(tiny_vit, None)
    scramble(student)
    model = FeatureStudent(teacher, student)
    model.compile(loss=RelativeSquaredError())
    weights = np.array([2.0] * 4 + [0.0] * 4)
    found = model.evaluate(
        *(images(8), np.zeros((8, 10))),
        sample_weight=weights,
        return_dict=True,
        verbose=0,
    )
    taught, given = (np.asarray(m(images(4))) for m in (teacher, student))
    cosine = keras.losses.cosine_similarity(taught, given)
    assert found["cosine"] == pytest.approx(-np.mean(cosine), abs=1e-5)
    expected = float(RelativeSquaredError()(taught, given))
    assert found["loss"] == pytest.approx(expected, rel=1e-4)
    assert not teacher.trainable_variables


def test_other_widths_are_refused(tiny_vit, same_vit):
    with pytest.raises(ValueError, match="16 features, the model 32"):
        FeatureStudent(*(kcp.vit.with_classes(v, None) for v in (tiny_vit, same_vit)))
