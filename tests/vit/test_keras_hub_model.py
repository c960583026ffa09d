"""The classifier around a keras-hub backbone: its file, its dropout, and it wrapped."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from keras_concatplexer.vit import keras_hub_vit, read_stages
from tests.vit.hub import IMAGE_SHAPE, keras_hub, make_backbone, make_images


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
    found = stages.head(stages.norm(tokens)[:, 0])
    np.testing.assert_allclose(found, vit(make_images()), atol=1e-6)


def test_file_round_trip_is_exact(vit, tmp_path):
    loaded = round_trip(vit, tmp_path)
    assert type(loaded) is type(vit)
    np.testing.assert_array_equal(loaded(make_images()), vit(make_images()))


def test_config_is_the_constructors_arguments(vit):
    config = vit.get_config()
    assert set(config) == {"name", "backbone", "num_classes", "normalize"}
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


@pytest.mark.parametrize("kind", ["vit", "deit"])
def test_proportional_attention_keeps_the_dropout(kind):
    vit = keras_hub_vit(make_backbone(kind, dropout_rate=0.5), num_classes=5)
    model = kcp.ConcatPlexer(*(vit, 2, 0), reducer="tome", proportional_attention=True)
    # The embedding's own dropout is not the block's.
    block = model.get_layer("transformer_block_1")
    tokens = np.random.default_rng(0).normal(size=(2, 4, 32)).astype("float32")
    sizes = np.zeros((2, 4), "float32")
    still = block(tokens, log_sizes=sizes)
    np.testing.assert_allclose(still, read_stages(vit).blocks[0](tokens), atol=1e-5)
    dropped = block(tokens, log_sizes=sizes, training=True)
    assert np.abs(dropped - still).max() > 1e-2
