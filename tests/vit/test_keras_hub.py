"""keras-hub's ViTs: the classifier, its file, its presets, and it wrapped."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from keras_concatplexer.vit import keras_hub_vit, read_stages

keras_hub = pytest.importorskip("keras_hub")

IMAGE_SHAPE = (8, 12, 3)
WIDTHS = {"vit": "mlp_dim", "deit": "intermediate_dim"}


def make_backbone(kind="vit", **options):
    models = {
        "vit": keras_hub.models.ViTBackbone,
        "deit": keras_hub.models.DeiTBackbone,
    }
    defaults = {
        "image_shape": IMAGE_SHAPE,
        "patch_size": 4,
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": 32,
        WIDTHS[kind]: 48,
    }
    return models[kind](**{**defaults, **options})


def make_images(batch_size=3, image_shape=IMAGE_SHAPE):
    values = np.random.default_rng(0).normal(size=(batch_size, *image_shape))
    return values.astype("float32")


@pytest.fixture(scope="module", params=["vit", "deit"])
def backbone(request):
    keras.utils.set_random_seed(0)
    return make_backbone(request.param)


@pytest.fixture(scope="module")
def vit(backbone):
    return keras_hub_vit(backbone, num_classes=5)


def round_trip(model, folder):
    path = folder / "model.keras"
    model.save(path)
    return keras.saving.load_model(path)


# === The classifier ===


def test_logits_are_the_backbones_class_token_and_the_head(backbone, vit):
    images = make_images()
    expected = vit.get_layer("head")(backbone(images)[:, 0])
    np.testing.assert_allclose(vit(images), expected, atol=1e-6)


def test_uses_the_backbones_very_weights(backbone, vit):
    own = {id(weight) for weight in vit.weights}
    assert {id(weight) for weight in backbone.weights} < own
    assert len(own) == len(backbone.weights) + 2


def test_stages(backbone, vit):
    stages = read_stages(vit)
    is_vit = isinstance(backbone, keras_hub.models.ViTBackbone)
    assert len(stages.blocks) == 2
    assert stages.image_shape == IMAGE_SHAPE
    assert stages.grid_shape == (2, 3)
    assert stages.num_prefix_tokens == (1 if is_vit else 2)
    assert (stages.hidden_dim, stages.mlp_dim, stages.num_classes) == (32, 48, 5)
    tokens = stages.embedding(make_images())
    assert tokens.shape == (3, stages.num_prefix_tokens + 6, 32)
    for block in stages.blocks:
        tokens = block(tokens)
    np.testing.assert_allclose(stages.classify(tokens), vit(make_images()), atol=1e-6)


def test_file_round_trip_is_exact(vit, tmp_path):
    loaded = round_trip(vit, tmp_path)
    assert type(loaded) is type(vit)
    np.testing.assert_array_equal(loaded(make_images()), vit(make_images()))


def test_config_is_the_constructors_arguments(vit):
    config = vit.get_config()
    assert set(config) == {"name", "backbone", "num_classes"}
    assert config["backbone"]["config"]["data_format"] == "channels_last"


def test_every_weight_gets_a_gradient(vit):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(vit(make_images(), training=True) ** 2)
    gradients = tape.gradient(loss, [v.value for v in vit.trainable_variables])
    for variable, gradient in zip(vit.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path


def test_sizes_need_no_preset():
    size = kcp.vit.ViTSize(32, 2, 2, 48, 4)
    vit = keras_hub_vit(
        size, num_classes=5, image_shape=IMAGE_SHAPE, attention_dropout=0.1, name="tiny"
    )
    assert vit.name == "tiny"
    assert vit.backbone.attention_dropout == 0.1
    assert vit(make_images()).shape == (3, 5)
    named = keras_hub_vit("vit_nano4", num_classes=2, image_shape=(8, 8, 1))
    assert named.name == "vit_nano4"
    assert read_stages(named).hidden_dim == 128


def test_a_frozen_backbone_stays_frozen(tmp_path):
    vit = keras_hub_vit(make_backbone("deit", trainable=False), num_classes=5)
    assert len(vit.trainable_weights) == 2
    assert len(round_trip(vit, tmp_path).trainable_weights) == 2
    resized = kcp.vit.at_resolution(vit, (16, 16, 3))
    assert len(resized.trainable_weights) == 2


# === Dropout ===


@pytest.mark.parametrize("kind", ["vit", "deit"])
def test_dropout_is_kept(kind, tmp_path):
    vit = keras_hub_vit(make_backbone(kind, dropout_rate=0.5), num_classes=5)
    # Without blocks only the encoder's own dropout is left.
    embedding, images = read_stages(vit).embedding, make_images()
    assert np.any(embedding(images, training=True) == 0)
    assert not np.any(embedding(images) == 0)
    np.testing.assert_array_equal(vit(images), round_trip(vit, tmp_path)(images))
    model = kcp.ConcatPlexer(vit, num_mux=2)
    assert np.abs(model(images, training=True) - model(images)).max() > 1e-3


# === Wrapped ===


def test_one_image_per_sequence_is_the_vit(vit):
    model = kcp.ConcatPlexer(vit, num_mux=1, strides=1, kernel_size=1)
    images = make_images(5)
    np.testing.assert_allclose(model(images), vit(images), atol=1e-5)


@pytest.mark.parametrize("attention_scope", ["group", "image"])
def test_wrapped_file_round_trip_is_exact(vit, attention_scope, tmp_path):
    model = kcp.ConcatPlexer(vit, num_mux=2, attention_scope=attention_scope)
    images = make_images(5)
    np.testing.assert_array_equal(model(images), round_trip(model, tmp_path)(images))


def test_wrapped_model_trains_the_vit(vit):
    model = kcp.ConcatPlexer(vit, num_mux=2)
    own = {id(weight) for weight in model.weights}
    assert {id(weight) for weight in vit.weights} < own
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(make_images(4), training=True) ** 2)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path


def test_image_scope_does_not_see_the_neighbours(vit):
    model = kcp.ConcatPlexer(vit, num_mux=2, attention_scope="image")
    images = make_images(4)
    other = np.concatenate([images[:1], 2 * images[1:]])
    np.testing.assert_allclose(model(images)[0], model(other)[0], atol=1e-5)


def test_fit_of_a_wrapped_backbone_in_mixed_precision(tmp_path):
    backbone = make_backbone(dtype="mixed_bfloat16")
    model = kcp.ConcatPlexer(keras_hub_vit(backbone, num_classes=5), num_mux=2)
    assert model.get_layer("multiplexer").compute_dtype == "bfloat16"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, run_eagerly=True)
    history = model.fit(make_images(4), np.arange(4), epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    logits = model(make_images())
    assert logits.dtype == "float32"
    np.testing.assert_array_equal(logits, round_trip(model, tmp_path)(make_images()))


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


# === Refusals ===


@pytest.mark.parametrize("options", [{"pooling": "gap"}, {"intermediate_dim": 8}])
def test_a_head_of_another_form_is_refused(options):
    models = keras_hub.models
    classifier = models.ViTImageClassifier(make_backbone(), num_classes=5, **options)
    with pytest.raises(ValueError, match="head on the class token"):
        keras_hub_vit(classifier)


def test_a_missing_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="Pass `num_classes`"):
        keras_hub_vit(make_backbone())


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
    with pytest.raises(ValueError, match="`ViTBackbone` or a `DeiTBackbone`"):
        keras_hub_vit(other, num_classes=2)
    with pytest.raises(ValueError, match="`keras_hub_vit`"):
        read_stages(other)


def test_a_bad_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="`num_classes`"):
        keras_hub_vit(make_backbone(), num_classes=0)
