import dataclasses

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from train.config import Config
from train.init_from import Initial, load_initial
from train.models import build_model

SHAPE, CLASSES = (16, 16, 3), tuple("abc")
TINY = kcp.vit.ViTSize(
    hidden_dim=16, num_layers=2, num_heads=2, mlp_dim=32, patch_size=4
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The workdir of an elastic model with weights moved from their start."""
    workdir = tmp_path_factory.mktemp("trained")
    vit = kcp.vit.keras_cv_vit(TINY, SHAPE, len(CLASSES))
    model = kcp.ElasticConcatPlexer(vit, num_mux=(1, 2, 4), own_norm=True)
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    model.save(workdir / "best.keras")
    preprocessor = kcp.preprocessing.ImagePreprocessor(SHAPE, mean=0.4, std=0.2)
    kcp.bundle.write_description(workdir, preprocessor, CLASSES)
    return workdir


@pytest.fixture(scope="module")
def initial(trained):
    return load_initial(str(trained))


def test_images_come_along(initial):
    config = Config(init_from="x")
    for channels in (1, 3):
        preprocessor = initial.preprocessor_for(config, channels)
        assert preprocessor.image_shape == SHAPE
        assert (preprocessor.mean, preprocessor.std) == (0.4, 0.2)
    larger = initial.preprocessor_for(Config(init_from="x", image_size=24), 3)
    assert larger.image_shape == (24, 24, 3) and larger.mean == 0.4
    with pytest.raises(ValueError, match="images of 3 channels; the data has 4"):
        initial.preprocessor_for(config, 4)


def test_a_way_of_resizing_comes_along(initial):
    resizing = keras.layers.Resizing(16, 16, crop_to_aspect_ratio=True)
    preprocessor = kcp.preprocessing.ImagePreprocessor(SHAPE, resizing=resizing)
    cropping = dataclasses.replace(initial, preprocessor=preprocessor)
    config = Config(init_from="x", image_size=24)
    resizing = cropping.preprocessor_for(config, 3).resizing
    assert (resizing.height, resizing.width) == (24, 24)
    assert resizing.crop_to_aspect_ratio


def test_a_vit_of_gray_images_takes_colors(capsys):
    vit = kcp.vit.keras_cv_vit(TINY, (16, 16, 1), len(CLASSES))
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 1))
    gray = Initial("x", vit, preprocessor, CLASSES)
    shape = gray.preprocessor_for(Config(init_from="x"), 3).image_shape
    assert shape == (16, 16, 3)
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 1)).astype("float32")
    repeated = np.repeat(images, 3, axis=-1)
    np.testing.assert_allclose(
        gray.vit_for(shape, CLASSES)(repeated), vit(images), atol=1e-5
    )
    assert "images of 16 x 16 x 3 instead of 16 x 16 x 1" in capsys.readouterr().out


def test_the_same_classes_keep_the_head(initial, capsys):
    vit = initial.vit_for(SHAPE, CLASSES)
    assert vit is initial.vit
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "class_names, said",
    [
        (
            tuple("abcd"),
            "4 classes (a, b, c, ...) instead of 3 classes (a, b, c): a new head",
        ),
        (
            tuple("acb"),
            "3 classes (a, c, b) instead of 3 classes (a, b, c): a new head",
        ),
    ],
)
def test_other_classes_get_a_new_head(initial, class_names, said, capsys):
    vit = initial.vit_for(SHAPE, class_names)
    assert said in capsys.readouterr().out
    assert vit.output_shape == (None, len(class_names))
    same = [
        ours.shape == theirs.shape and np.array_equal(ours, theirs)
        for ours, theirs in zip(vit.weights, initial.vit.weights, strict=True)
    ]
    # Kernel and bias of the head.
    assert same.count(False) == 2
    assert not np.any(vit.get_layer("head").bias)


def test_images_of_another_size(initial, capsys):
    vit = initial.vit_for((24, 24, 3), CLASSES)
    assert vit.input_shape == (None, 24, 24, 3)
    assert "images of 24 x 24 x 3 instead of 16 x 16 x 3" in capsys.readouterr().out


def own_weights(model, name):
    return model.get_layer(name).get_weights()


def test_multiplexers_come_along_where_they_fit(initial, capsys):
    config = Config(init_from="x", num_mux=2)
    model = build_model(config, SHAPE, CLASSES, initial)
    theirs = initial.model.at(2)
    for ours, weight in zip(
        own_weights(model, "multiplexer"),
        own_weights(theirs, "multiplexer"),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, weight)
    text = capsys.readouterr().out
    assert "N = 2, multiplexer/" in text and "slot_embedding" in text
    assert "N = 2, own_norm/beta, own_norm/gamma: dropped" in text
    assert "N = 4: its multiplexer is dropped" in text


def test_what_has_no_place_is_named(initial, capsys):
    config = Config(init_from="x", num_mux=2, attention_scope="image")
    build_model(config, SHAPE, CLASSES, initial)
    text = capsys.readouterr().out
    assert "multiplexer/slot_embedding/embedding, own_norm/beta" in text
    config = Config(init_from="x", num_mux=8, image_size=32)
    build_model(config, (32, 32, 3), CLASSES, initial)
    text = capsys.readouterr().out
    assert "N = 2: its multiplexer is dropped" in text and "N = 8" not in text


def test_a_file_alone(trained, capsys):
    initial = load_initial(str(trained / "best.keras"))
    assert initial.class_names is None
    assert initial.preprocessor.image_shape == SHAPE
    assert "a ViT of 2 blocks for images of 16 x 16 x 3" in capsys.readouterr().out
    assert initial.vit_for(SHAPE, tuple("xyz")) is initial.vit


def test_a_preset_brings_its_preprocessing(tmp_path, capsys):
    keras_hub = pytest.importorskip("keras_hub")
    keras_hub.models.ViTBackbone(
        image_shape=SHAPE,
        patch_size=4,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=32,
    ).save_to_preset(str(tmp_path))
    keras_hub.layers.ViTImageConverter(
        image_size=(16, 16), scale=1 / 255 / 0.25, offset=-0.4 / 0.25
    ).save_to_preset(str(tmp_path))
    initial = load_initial(f"hub:{tmp_path}")
    preprocessor = initial.preprocessor_for(Config(init_from="x", image_size=24), 1)
    assert preprocessor.image_shape == (24, 24, 3)
    assert preprocessor.mean == pytest.approx(0.4)
    assert preprocessor.std == pytest.approx(0.25)
    assert initial.vit_for((24, 24, 3), ("a",)).input_shape == (None, 24, 24, 3)
    assert (
        "1 classes (a) instead of 1 classes (of unknown names): a new head"
        in capsys.readouterr().out
    )


def test_what_cannot_be_loaded(tmp_path, monkeypatch):
    (tmp_path / "text.keras").write_text("no model")
    for name in ("none.keras", "text.keras"):
        with pytest.raises(ValueError, match=f"{name} cannot be loaded"):
            load_initial(str(tmp_path / name))
    with pytest.raises(ValueError, match="holds no trained model"):
        load_initial(str(tmp_path))

    def offline(*_, **__):
        raise OSError("Max retries exceeded\nand a hundred lines more")

    monkeypatch.setattr(kcp.vit, "keras_hub_vit", offline)
    message = "hub:vit cannot be loaded: Max retries exceeded$"
    with pytest.raises(ValueError, match=message):
        load_initial("hub:vit")


def test_a_preset_that_keras_hub_does_not_know(monkeypatch):
    pytest.importorskip("keras_hub")
    # Without a look into the network.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError) as raised:
        load_initial("hub:nothing")
    assert str(raised.value).startswith("--init_from=hub:nothing cannot be loaded: ")
    assert str(raised.value).endswith("as a preset: Unknown preset identifier.")


def test_a_plain_vit_brings_no_multiplexer(capsys):
    vit = kcp.vit.keras_cv_vit(TINY, SHAPE, len(CLASSES))
    preprocessor = kcp.preprocessing.ImagePreprocessor(SHAPE)
    initial = Initial("x", vit, preprocessor, CLASSES)
    model = build_model(Config(init_from="x"), SHAPE, CLASSES, initial)
    assert isinstance(model, kcp.ConcatPlexer)
    assert capsys.readouterr().out == ""
    assert keras.backend.is_float_dtype(model.weights[0].dtype)
