"""ViTs from keras-hub's presets and classifiers, and what is refused."""

import sys

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from keras_concatplexer.vit import (
    keras_hub_preprocessor,
    keras_hub_vit,
    read_stages,
)
from tests.vit.hub import IMAGE_SHAPE, keras_hub, make_backbone, make_images


@pytest.fixture(scope="module", params=["vit", "deit"])
def backbone(request):
    keras.utils.set_random_seed(0)
    return make_backbone(request.param)


# === Presets ===


@pytest.fixture(scope="module")
def preset(backbone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset")
    backbone.save_to_preset(str(folder))
    return folder


def test_a_preset_keeps_its_weights(backbone, preset):
    vit = keras_hub_vit(preset, num_classes=4)
    for trained, loaded in zip(backbone.weights, vit.backbone.weights, strict=True):
        np.testing.assert_array_equal(trained, loaded)
    assert kcp.ConcatPlexer(vit, num_mux=2)(make_images()).shape == (3, 4)


def test_a_preset_takes_options(preset):
    vit = keras_hub_vit(
        str(preset), 4, dropout_rate=0.2, attention_dropout=0.1, dtype="bfloat16"
    )
    assert (vit.backbone.dropout_rate, vit.backbone.attention_dropout) == (0.2, 0.1)
    assert read_stages(vit).dtype_policy.name == "bfloat16"


def test_a_preset_at_another_resolution(backbone, preset):
    vit = keras_hub_vit(preset, num_classes=4, image_shape=(16, 16, 3))
    assert read_stages(vit).grid_shape == (4, 4)
    kernel = vit.backbone.layers[1].patch_embedding.kernel
    np.testing.assert_array_equal(kernel, backbone.layers[1].patch_embedding.kernel)


@pytest.mark.parametrize("kind", ["vit", "deit"])
def test_a_trained_classifier_keeps_its_head(kind):
    models = {
        "vit": keras_hub.models.ViTImageClassifier,
        "deit": keras_hub.models.DeiTImageClassifier,
    }
    classifier = models[kind](make_backbone(kind), num_classes=5)
    images = make_images()
    vit = keras_hub_vit(classifier)
    np.testing.assert_allclose(vit(images), classifier(images), atol=1e-6)
    assert read_stages(keras_hub_vit(classifier, num_classes=3)).num_classes == 3


@pytest.mark.parametrize("kind", ["vit", "deit"])
def test_a_preset_brings_its_preprocessing(kind, tmp_path):
    layers = keras_hub.layers
    converters = {"vit": layers.ViTImageConverter, "deit": layers.DeiTImageConverter}
    std = np.array([0.229, 0.224, 0.225])
    converter = converters[kind](
        image_size=(8, 12),
        scale=(1 / 255 / std).tolist(),
        offset=(-np.array([0.485, 0.456, 0.406]) / std).tolist(),
        interpolation="bicubic",
        antialias=True,
    )
    make_backbone(kind).save_to_preset(tmp_path)
    converter.save_to_preset(tmp_path)
    preprocessor = keras_hub_preprocessor(tmp_path)
    assert preprocessor.image_shape == IMAGE_SHAPE
    np.testing.assert_allclose(preprocessor.mean, [0.485, 0.456, 0.406], rtol=1e-6)
    random = np.random.default_rng(0)
    for shape in ((2, 8, 12, 3), (2, 20, 10, 3), (9, 30, 3)):
        pixels = random.integers(256, size=shape).astype("uint8")
        for images in (pixels, pixels.astype("float32")):
            np.testing.assert_allclose(
                preprocessor(images), converter(images), atol=1e-5
            )
    small = keras_hub_preprocessor(str(tmp_path), (4, 4, 3))
    assert small(pixels).shape == (4, 4, 3)


def test_a_preset_without_preprocessing_is_refused(preset):
    with pytest.raises(ValueError, match="finds no image converter in"):
        keras_hub_preprocessor(preset)


# === Refusals ===


@pytest.mark.parametrize("options", [{"pooling": "gap"}, {"intermediate_dim": 8}])
def test_a_head_of_another_form_is_refused(options):
    models = keras_hub.models
    classifier = models.ViTImageClassifier(make_backbone(), num_classes=5, **options)
    with pytest.raises(ValueError, match="head on the class token"):
        keras_hub_vit(classifier)


def test_without_a_number_of_classes_there_are_features():
    backbone = make_backbone()
    features = keras_hub_vit(backbone)(make_images())
    np.testing.assert_allclose(features, backbone(make_images())[:, 0], atol=1e-6)
    unit = keras_hub_vit(backbone, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(unit(make_images()), axis=-1), 1, 1e-5)
    with pytest.raises(ValueError, match="`normalize` is for features"):
        keras_hub_vit(backbone, num_classes=2, normalize=True)


def test_keras_hub_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r"keras-concatplexer\[hub\]"):
        keras_hub_vit("vit_nano4", num_classes=2, image_shape=(8, 8, 1))


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="not a size .*vit_nano4.* as a preset"):
        keras_hub_vit("vit_nano5", num_classes=2)


def test_a_size_without_an_image_shape_is_refused():
    with pytest.raises(ValueError, match="pass image_shape="):
        keras_hub_vit("vit_nano4", num_classes=2)


@pytest.mark.parametrize("image_shape", [(8, 8), (8, 0, 3), (10, 8, 3), (8, 3, 3)])
def test_a_bad_image_shape_is_refused(image_shape):
    with pytest.raises(ValueError, match="image_shape="):
        keras_hub_vit("vit_nano4", num_classes=2, image_shape=image_shape)


def test_options_of_a_built_backbone_are_refused():
    with pytest.raises(ValueError, match="dropout_rate to its constructor"):
        keras_hub_vit(make_backbone(), num_classes=2, dropout_rate=0.1)


def test_a_backbone_without_class_token_is_refused():
    with pytest.raises(ValueError, match="use_class_token=True"):
        keras_hub_vit(make_backbone(use_class_token=False), num_classes=2)


def test_channels_first_is_refused():
    backbone = make_backbone(image_shape=(3, 8, 8), data_format="channels_first")
    with pytest.raises(ValueError, match="data_format='channels_last'"):
        keras_hub_vit(backbone, num_classes=2)


def test_another_model_is_refused():
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="one of keras-hub's ViTBackbone, Dei"):
        keras_hub_vit(other, num_classes=2)
    with pytest.raises(ValueError, match="`keras_hub_vit`"):
        read_stages(other)


def test_a_bad_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="`num_classes`"):
        keras_hub_vit(make_backbone(), num_classes=0)
