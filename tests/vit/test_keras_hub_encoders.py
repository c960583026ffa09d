"""DINOv2, CLIP and SigLIP of keras-hub: wrapped they compute the same."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from keras_concatplexer.vit import (
    at_resolution,
    keras_hub_preprocessor,
    keras_hub_vit,
    read_stages,
)
from keras_concatplexer.vit.stages import check_stages
from tests.vit.hub import SQUARE, keras_hub, make_backbone, make_images, make_trained

NUM_PREFIX = {"dinov2": 1, "dinov2_registers": 4, "clip": 1, "siglip": 0}


class Encoder:
    """A kind of encoder, trained, as a local preset and wrapped."""

    def __init__(self, kind, folder):
        self.kind, self.preset = kind, folder / kind
        make_trained(kind).save_to_preset(str(self.preset))
        self.own = keras_hub.models.Backbone.from_preset(str(self.preset))
        self.vit = keras_hub_vit(self.preset, num_classes=None)

    def expected(self, images):
        """What keras-hub says of the images."""
        outputs = np.asarray(self.own(images))
        return outputs if outputs.ndim == 2 else outputs[:, 0]


@pytest.fixture(scope="module", params=NUM_PREFIX)
def encoder(request, tmp_path_factory):
    return Encoder(request.param, tmp_path_factory.mktemp("presets"))


@pytest.fixture(scope="module")
def images():
    return make_images(5, SQUARE)


def round_trip(model, folder):
    path = folder / "model.keras"
    model.save(path)
    return keras.saving.load_model(path)


def test_a_preset_is_keras_hubs_own(encoder, images):
    expected = encoder.expected(images)
    assert np.abs(expected[0] - expected[1]).max() > 0.1
    np.testing.assert_allclose(encoder.vit(images), expected, atol=1e-5)
    single = kcp.ConcatPlexer(encoder.vit, 1, strides=1, kernel_size=1)
    np.testing.assert_allclose(single(images), expected, atol=1e-5)


def test_stages(encoder, images):
    check_stages(encoder.vit)
    stages = read_stages(encoder.vit)
    assert stages.num_prefix_tokens == NUM_PREFIX[encoder.kind]
    assert stages.grid_shape == (2, 2)
    assert (stages.hidden_dim, stages.mlp_dim, stages.num_classes) == (32, 48, None)
    tokens = stages.embedding(images)
    assert tokens.shape == (5, NUM_PREFIX[encoder.kind] + 4, 32)
    assert stages.embedding.compute_output_shape((5, *SQUARE)) == tokens.shape


@pytest.mark.parametrize("attention_scope", ["group", "image"])
def test_files_are_exact(encoder, images, attention_scope, tmp_path):
    model = kcp.ConcatPlexer(encoder.vit, 2, attention_scope=attention_scope)
    for weight in model.get_layer("multiplexer").weights:
        weight.assign(weight + 0.1)
    for wrapped in (encoder.vit, model):
        loaded = round_trip(wrapped, tmp_path)
        np.testing.assert_array_equal(loaded(images), wrapped(images))


def test_trained_positions_are_saved(encoder, images, tmp_path):
    # keras-hub's own layer would set a DINOv2's anew when a file is loaded.
    vit = at_resolution(encoder.vit, SQUARE)
    positions = read_stages(vit).embedding_parts.positions
    noise = np.random.default_rng(1).normal(size=positions.shape)
    positions.assign(positions + noise)
    np.testing.assert_array_equal(round_trip(vit, tmp_path)(images), vit(images))
    assert np.abs(vit(images) - encoder.vit(images)).max() > 1e-3


def test_every_weight_gets_a_gradient(encoder, images):
    model = kcp.ConcatPlexer(encoder.vit, num_mux=2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images, training=True) ** 3)
    weights = model.trainable_variables
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None and np.any(gradient), weight.path


def test_images_of_the_image_scope_stay_apart(encoder, images):
    model = kcp.ConcatPlexer(encoder.vit, 2, attention_scope="image")
    other = np.concatenate([images[:1], 2 * images[1:]])
    np.testing.assert_allclose(model(images)[0], model(other)[0], atol=1e-5)
    assert np.abs(model(images)[1] - model(other)[1]).max() > 1e-3


def test_images_of_a_group_see_each_other_and_keep_their_order(encoder, images):
    model = kcp.ConcatPlexer(encoder.vit, num_mux=2)
    assert model(images).shape == (5, 32)
    other = np.concatenate([images[:1], 2 * images[1:]])
    assert np.abs(model(images)[0] - model(other)[0]).max() > 1e-3
    # Without slots trained, who is first in a group does not matter.
    swapped = model(images[[1, 0, 3, 2, 4]])
    np.testing.assert_allclose(swapped[:2], model(images)[:2][::-1], atol=1e-5)


def test_the_image_multiplexer_takes_them(encoder, images):
    model = kcp.ImageMultiplexerViT(encoder.vit, num_mux=2)
    assert model(images).shape == (5, 32)


def test_cost_is_the_sum_of_the_products(encoder):
    cost = kcp.flops.count(encoder.vit)
    length, width, mlp = NUM_PREFIX[encoder.kind] + 4, 32, 48
    block = length * (4 * width**2 + 2 * width * mlp) + 2 * length**2 * width
    assert cost.stages["backbone"] == 2 * block
    assert cost.stages["embedding"] == 4 * 4 * 4 * 3 * width
    pooling = (2 + 2 * length) * width**2 + 2 * length * width + 2 * width * mlp
    assert cost.stages["head"] == (pooling if encoder.kind == "siglip" else 0)


def test_at_another_resolution(encoder):
    vit = at_resolution(encoder.vit, (12, 12, 3))
    larger = make_images(2, (12, 12, 3))
    assert vit(larger).shape == (2, 32)
    if encoder.kind == "dinov2_registers":
        # Trained on SQUARE: keras-hub has the same way to other shapes.
        shape = {"image_shape": (12, 12, 3)}
        own = keras_hub.models.Backbone.from_preset(str(encoder.preset), **shape)
        np.testing.assert_allclose(vit(larger), own(larger)[:, 0], atol=1e-5)


def test_frozen_tokens_do_not_change_a_file(images, tmp_path):
    backbone = make_trained("dinov2_registers")
    backbone.embeddings.cls_token.trainable = False
    vit = keras_hub_vit(backbone, num_classes=None)
    assert len(vit.trainable_weights) == len(vit.weights) - 1
    np.testing.assert_array_equal(round_trip(vit, tmp_path)(images), vit(images))


def test_a_fresh_clip_learns_a_position_per_token(images):
    backbone = make_backbone("clip")
    expected = backbone(images)[:, 0]
    vit = keras_hub_vit(backbone, num_classes=None)
    np.testing.assert_allclose(vit(images), expected, atol=1e-5)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(vit(images) ** 3)
    positions = read_stages(vit).embedding_parts.positions
    gradient = np.asarray(tape.gradient(loss, positions.value))
    assert np.abs(gradient).max(axis=1).all()


def test_the_vision_encoder_of_a_pair_is_taken(images):
    vision = make_trained("siglip")
    text = keras_hub.models.SigLIPTextEncoder(
        *(8, 16, 16, 1, 2, 32), max_sequence_length=4
    )
    pair = keras_hub.models.SigLIPBackbone(vision, text)
    vit = keras_hub_vit(pair, num_classes=3)
    assert vit.backbone is vision
    np.testing.assert_allclose(vit.features(images), vision(images), atol=1e-5)


def test_the_presets_preprocessing_is_read(tmp_path):
    make_backbone("dinov2").save_to_preset(str(tmp_path))
    std = np.array([0.229, 0.224, 0.225])
    converter = keras_hub.layers.DINOV2ImageConverter(
        image_size=SQUARE[:2],
        scale=(1 / 255 / std).tolist(),
        offset=(-np.array([0.485, 0.456, 0.406]) / std).tolist(),
        interpolation="bicubic",
        crop_to_aspect_ratio=True,
    )
    converter.save_to_preset(str(tmp_path))
    preprocessor = keras_hub_preprocessor(tmp_path)
    pixels = np.random.default_rng(0).integers(256, size=(2, 20, 10, 3))
    pixels = pixels.astype("float32")
    np.testing.assert_allclose(preprocessor(pixels), converter(pixels), atol=1e-5)


def test_layer_scale_in_proportional_attention(images):
    vit = keras_hub_vit(make_trained("dinov2"), num_classes=None)
    model = kcp.ConcatPlexer(*(vit, 2, 0), reducer="tome", proportional_attention=True)
    tokens = np.random.default_rng(0).normal(size=(2, 4, 32)).astype("float32")
    block = model.get_layer("layers_0")
    found = block(tokens, log_sizes=np.zeros((2, 4), "float32"))
    np.testing.assert_allclose(found, read_stages(vit).blocks[0](tokens), atol=1e-5)


def test_mixed_precision(images):
    for kind in NUM_PREFIX:
        exact = keras_hub_vit(make_trained(kind), None)(images)
        vit = keras_hub_vit(make_trained(kind, dtype="mixed_bfloat16"), None)
        features = kcp.ConcatPlexer(vit, 1, strides=1, kernel_size=1)(images)
        assert features.dtype == "float32"
        np.testing.assert_allclose(features, exact, atol=0.3)


def test_a_second_vit_behind_one_without_prefix_tokens(images):
    front = keras_hub_vit(make_trained("siglip"), None)
    back = keras_hub_vit(make_trained("siglip", hidden_dim=48), None)
    model = kcp.ConcatPlexer(front, 2, patchifier_depth=1, backbone=back)
    assert model(images).shape == (5, 48)


# === Refused ===


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("dinov2", {"use_swiglu_ffn": True}, r"SwiGLU"),
        ("dinov2", {"drop_path_rate": 0.1}, r"drop_path_rate=0\.1"),
        ("siglip", {"data_format": "channels_first"}, "channels_last"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(kind, options, message):
    if "data_format" in options:
        options = {**options, "image_shape": (3, 8, 8)}
    with pytest.raises(ValueError, match=message):
        keras_hub_vit(make_backbone(kind, **options), num_classes=None)


def test_other_backbones_are_refused_with_the_reason():
    dinov3 = keras_hub.models.DINOV3Backbone(
        *(4, 1, 16, 2, 32), image_shape=SQUARE, num_register_tokens=1
    )
    with pytest.raises(ValueError, match="A DINOV3Backbone cannot be: .* rotary"):
        keras_hub_vit(dinov3, num_classes=None)
    swin = keras_hub.models.SwinTransformerBackbone((8, 8, 3), 4, [1], [1], 2)
    with pytest.raises(ValueError, match="SwinTransformerBackbone cannot be: .*window"):
        keras_hub_vit(swin, num_classes=None)


def test_select_needs_a_class_token():
    vit = keras_hub_vit(make_backbone("siglip"), num_classes=None)
    with pytest.raises(ValueError, match="class token attends to, and this ViT"):
        kcp.ConcatPlexer(vit, 2, reducer="select")
