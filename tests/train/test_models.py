import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from train.config import Config
from train.models import build_model

SHAPE, CLASSES = (16, 16, 3), 10


@pytest.fixture
def file(make_vit, tmp_path):
    path = tmp_path / "vit.keras"
    vit = make_vit()
    vit.save(path)
    return vit, str(path)


def test_models(monkeypatch, file):
    vit, path = file
    kinds = {
        "vit": keras.Model,
        "concatplexer": kcp.ConcatPlexer,
        "image_multiplexer": kcp.ImageMultiplexerViT,
    }
    for kind, expected in kinds.items():
        model = build_model(Config(model=kind, init_from=path), SHAPE, CLASSES)
        assert isinstance(model, expected)
        assert getattr(model, "num_mux", 1) == (1 if kind == "vit" else 2)
        inner = getattr(model, "vit", model)
        for ours, theirs in zip(inner.weights, vit.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_settings_reach_the_model(file):
    settings = {"num_mux": 4, "patchifier_depth": 1, "init_from": file[1]}
    config = Config(**settings, reducer="mean", attention_scope="image")
    model = build_model(config, SHAPE, CLASSES)
    assert (model.num_mux, model.patchifier_depth) == (4, 1)
    assert (model.reducer, model.attention_scope) == ("mean", "image")
    model = build_model(Config(**settings, shuffle_slots=True), SHAPE, CLASSES)
    assert model.shuffle_slots
    config = Config(**settings, model="image_multiplexer", transform="holographic")
    model = build_model(config, SHAPE, CLASSES)
    assert (model.num_mux, model.patchifier_depth) == (4, 1)
    assert model.get_config()["transform"] == "holographic"


def test_a_frozen_backbone(file):
    config = Config(init_from=file[1], freeze_backbone=True)
    model = build_model(config, SHAPE, CLASSES)
    trained = {weight.path.split("/")[0] for weight in model.trainable_variables}
    assert trained == {"multiplexer", "final_norm", "head"}
    before = len(model.trainable_variables)
    model.save(file[1])
    thawed = build_model(Config(init_from=file[1]), SHAPE, CLASSES)
    assert len(thawed.trainable_variables) > before
    assert len(thawed.non_trainable_variables) == 0


def test_weights_of_another_resolution(file):
    model = build_model(Config(init_from=file[1], model="vit"), (24, 24, 3), CLASSES)
    assert model.input_shape == (None, 24, 24, 3)


@pytest.mark.parametrize("shape, num_classes", [((16, 16, 1), 10), ((16, 16, 3), 7)])
def test_a_vit_for_other_data(file, shape, num_classes):
    with pytest.raises(ValueError, match=r"takes images of \(16, 16, 3\) and has 10"):
        build_model(Config(init_from=file[1]), shape, num_classes)


def test_files_that_cannot_be_loaded(tmp_path):
    for name in ("none.keras", "text.keras"):
        (tmp_path / "text.keras").write_text("no model")
        with pytest.raises(ValueError, match=f"{name} cannot be loaded"):
            build_model(Config(init_from=str(tmp_path / name)), SHAPE, CLASSES)
