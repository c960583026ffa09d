import dataclasses
import json

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from train.config import Config
from train.data import load_data
from train.trainer import Run


def test_a_run_leaves_its_files(trained_concatplexer):
    workdir, results = trained_concatplexer
    names = {path.name for path in workdir.iterdir()}
    assert names == {
        "best.keras",
        "bundle.json",
        "config.json",
        "last.keras",
        "results.json",
        "tensorboard",
    }
    assert json.loads((workdir / "results.json").read_text()) == results
    assert results["num_test_images"] == 355
    assert len(results["history"]["val_accuracy"]) == results["epochs"] == 2
    assert results["gmacs_per_image"] == pytest.approx(0.0162, abs=1e-4)


def test_training_learns(trained_vit, trained_concatplexer):
    assert trained_vit[1]["test_accuracy"] > 0.85
    assert trained_concatplexer[1]["test_accuracy"] > 0.85


def test_results_are_of_the_saved_models(trained_concatplexer, digits_dir):
    workdir, results = trained_concatplexer
    config = Config(data_dir=str(digits_dir), test_split="test[:355]")
    data = load_data(config)
    labels = np.concatenate([labels for _, labels in data.batches("test", 64)])
    for checkpoint in ("best", "last"):
        model = kcp.bundle.load_model(workdir, checkpoint)
        logits = model.predict(data.batches("test", 64), verbose=0)
        accuracy = np.mean(np.argmax(logits, -1) == labels)
        assert results[checkpoint]["accuracy"] == pytest.approx(accuracy, abs=1e-6)


def test_a_wrapped_vit_works_before_any_fine_tuning(trained_vit, digits_dir, capsys):
    workdir, results = trained_vit
    vit = kcp.bundle.load_model(workdir)
    data = load_data(Config(data_dir=str(digits_dir)))
    accuracies = {}
    for scope in ("image", "group"):
        model = kcp.ConcatPlexer(vit, num_mux=2, attention_scope=scope)
        model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        batches = data.batches("test", 64)
        accuracies[scope] = model.evaluate(batches, verbose=0)[1]
    with capsys.disabled():
        print(
            f"\ndigits, ViT {results['test_accuracy']:.3f}; wrapped, N = 2, without "
            f"training: {accuracies}"
        )
    assert accuracies["image"] > 0.6
    assert accuracies["group"] > 0.3


@pytest.fixture
def config(digits_dir):
    return Config(data_dir=str(digits_dir))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"batch_size": 2000}, "larger than the training split of 1293 images"),
        ({"num_mux": 3}, "power of two. Received: num_mux=3"),
        ({"image_size": 18}, "4 does not divide 18"),
        ({"image_size": 4}, "strides.* larger than the grid"),
        ({"init_from": "/nowhere"}, "/nowhere holds no trained model"),
    ],
)
def test_errors_come_before_training(config, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        Run(dataclasses.replace(config, **changes), tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_vit_of_other_classes_is_refused(config, tmp_path):
    vit = kcp.vit.keras_cv_vit("vit_nano4", (16, 16, 1), num_classes=3)
    vit.save(tmp_path / "best.keras")
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 1))
    kcp.bundle.write_description(tmp_path, preprocessor, ["a", "b", "c"])
    with pytest.raises(ValueError, match="3 classes; the data has .* and 10"):
        Run(dataclasses.replace(config, init_from=str(tmp_path)), tmp_path / "run")


def test_an_unwritable_workdir(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written: Not a directory"):
        Run(config, tmp_path / "file" / "run")


def test_a_workdir_in_use(config, trained_concatplexer):
    with pytest.raises(ValueError, match="holds a run already"):
        Run(config, trained_concatplexer[0])
