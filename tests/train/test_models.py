import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from train.config import Config
from train.data import load_data
from train.init_from import load_initial
from train.models import build_model

SHAPE, CLASSES = (16, 16, 3), tuple("0123456789")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A ViT and the path of its file."""
    path = tmp_path_factory.mktemp("vit") / "vit.keras"
    vit = kcp.vit.keras_cv_vit(TINY, SHAPE, len(CLASSES))
    vit.save(path)
    return vit, str(path)


TINY = kcp.vit.ViTSize(
    hidden_dim=16, num_layers=2, num_heads=2, mlp_dim=32, patch_size=4
)


def build(path, image_shape=SHAPE, class_names=CLASSES, **settings):
    config = Config(init_from=path, **settings)
    return build_model(config, image_shape, class_names, load_initial(path))


def test_models(file):
    vit, path = file
    kinds = {
        "vit": keras.Model,
        "concatplexer": kcp.ConcatPlexer,
        "image_multiplexer": kcp.ImageMultiplexerViT,
    }
    for kind, expected in kinds.items():
        model = build(path, model=kind)
        assert isinstance(model, expected)
        assert getattr(model, "num_mux", 1) == (1 if kind == "vit" else 2)
        inner = getattr(model, "vit", model)
        for ours, theirs in zip(inner.weights, vit.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_new_model_of_features_has_no_classifier():
    config = Config(objective="features", teacher="given", model="vit")
    model = build_model(config, SHAPE, ())
    assert model.num_classes is None
    assert model.output_shape == (None, kcp.vit.SIZES["vit_nano4"].hidden_dim)


def test_settings_reach_the_model(file):
    settings = {"num_mux": 4, "patchifier_depth": 1}
    model = build(file[1], **settings, reducer="mean", attention_scope="image")
    assert (model.num_mux, model.patchifier_depth) == (4, 1)
    assert (model.reducer, model.attention_scope) == ("mean", "image")
    assert build(file[1], **settings, shuffle_slots=True).shuffle_slots
    model = build(
        file[1], **settings, model="image_multiplexer", transform="holographic"
    )
    assert (model.num_mux, model.patchifier_depth) == (4, 1)
    assert model.get_config()["transform"] == "holographic"
    model = build(
        file[1],
        num_mux=(1, 2),
        num_mux_weights=(3.0, 1.0),
        own_norm=True,
        in_place_weight=0.5,
        in_place_temperature=3.0,
    )
    config = model.get_config()
    assert config["num_mux_weights"] == (0.75, 0.25) and config["own_norm"]
    assert (config["in_place_weight"], config["in_place_temperature"]) == (0.5, 3.0)


def test_a_second_vit_behind_the_multiplexer(file, tmp_path, capsys):
    model = build(file[1], backbone="vit_nano4")
    assert (model.stages.hidden_dim, model.backbone_stages.hidden_dim) == (16, 128)
    np.testing.assert_array_equal(model.vit.weights[0], file[0].weights[0])
    model.save(tmp_path / "wide.keras")
    # Its trained weights come along.
    again = build(str(tmp_path / "wide.keras"), freeze_backbone=True)
    for ours, theirs in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    trained = {weight.path.split("/")[0] for weight in again.trainable_variables}
    assert trained == {"multiplexer", "final_norm", "head"}
    # A file as the second ViT; the first has new weights.
    config = Config(backbone=file[1])
    turned = build_model(config, SHAPE, CLASSES)
    assert (turned.stages.hidden_dim, turned.backbone_stages.hidden_dim) == (128, 16)
    head, expected = turned.get_layer("head"), file[0].get_layer("head")
    np.testing.assert_array_equal(head.weights[0], expected.weights[0])
    capsys.readouterr()
    build(str(tmp_path / "wide.keras"), model="image_multiplexer")
    assert "its second ViT is dropped" in capsys.readouterr().out
    with pytest.raises(ValueError, match="--backbone=vit_nano4 would not be used"):
        Config(model="vit", backbone="vit_nano4").check()
    with pytest.raises(ValueError, match="--init_from and no --backbone"):
        settings = {"backbone": "vit_nano4", "freeze_backbone": True}
        Config(init_from="given", **settings).check()


def test_a_frozen_backbone(file, tmp_path):
    model = build(file[1], freeze_backbone=True)
    trained = {weight.path.split("/")[0] for weight in model.trainable_variables}
    assert trained == {"multiplexer", "final_norm", "head"}
    before = len(model.trainable_variables)
    model.save(tmp_path / "frozen.keras")
    thawed = build(str(tmp_path / "frozen.keras"))
    assert len(thawed.trainable_variables) > before
    assert len(thawed.non_trainable_variables) == 0


@pytest.mark.large
@pytest.mark.usefixtures("eager")
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
