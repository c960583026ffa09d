"""A ViT at another resolution: what is copied, what is interpolated."""

import keras
import numpy as np
import pytest

from keras_concatplexer.vit import (
    ViTSize,
    at_resolution,
    keras_cv_vit,
    keras_hub_vit,
    read_stages,
    with_classes,
)
from keras_concatplexer.vit.resolution import resize_positions

SIZE = ViTSize(hidden_dim=32, num_layers=2, num_heads=2, mlp_dim=48, patch_size=4)


def make_deit():
    hub = pytest.importorskip("keras_hub")
    backbone = hub.models.DeiTBackbone((8, 8, 3), 4, 2, 2, 32, 48)
    return keras_hub_vit(backbone, num_classes=5)


BUILDERS = {
    "keras_cv": lambda: keras_cv_vit(SIZE, (8, 8, 3), 5, attention_dropout=0.1),
    "keras_hub": lambda: keras_hub_vit(SIZE, 5, (8, 8, 3), attention_dropout=0.1),
    "deit": make_deit,
}


@pytest.fixture(scope="module", params=list(BUILDERS))
def vit(request):
    keras.utils.set_random_seed(0)
    if request.param != "keras_cv":
        pytest.importorskip("keras_hub")
    return BUILDERS[request.param]()


def make_images(*image_shape):
    return np.random.default_rng(0).normal(size=(2, *image_shape)).astype("float32")


def positions(vit):
    return read_stages(vit).embedding_parts.positions


def test_all_but_the_patch_positions_is_copied(vit):
    resized = at_resolution(vit, (16, 16, 3))
    stages = read_stages(resized)
    assert stages.image_shape == (16, 16, 3)
    assert stages.grid_shape == (4, 4)
    assert resized.name == vit.name
    old, new = positions(vit), positions(resized)
    num_prefix = stages.num_prefix_tokens
    assert new.shape[-2] == num_prefix + 16
    np.testing.assert_array_equal(old[..., :num_prefix, :], new[..., :num_prefix, :])
    for source, target in zip(vit.weights, resized.weights, strict=True):
        assert source is not target
        if source is not old:
            np.testing.assert_array_equal(source, target)
    assert resized(make_images(16, 16, 3)).shape == (2, 5)


def test_the_same_size_is_exact(vit):
    images = make_images(8, 8, 3)
    np.testing.assert_array_equal(at_resolution(vit, (8, 8, 3))(images), vit(images))


def test_constant_positions_stay_constant(vit):
    copy = at_resolution(vit, (8, 8, 3))
    positions(copy).assign(np.full(positions(copy).shape, 0.3, "float32"))
    resized = at_resolution(copy, (12, 12, 3))
    np.testing.assert_allclose(positions(resized), 0.3, atol=1e-6)


def test_frozen_layers_stay_frozen(vit):
    copy = at_resolution(vit, (8, 8, 3))
    read_stages(copy).blocks[0].trainable = False
    resized = at_resolution(copy, (12, 12, 3))
    assert len(resized.trainable_weights) == len(copy.trainable_weights)
    assert len(resized.trainable_weights) < len(vit.trainable_weights)


def test_options_are_kept():
    pytest.importorskip("keras_hub")
    resized = at_resolution(BUILDERS["keras_hub"](), (12, 16, 3))
    assert resized.backbone.attention_dropout == 0.1
    assert read_stages(resized).grid_shape == (3, 4)
    resized = at_resolution(BUILDERS["keras_cv"](), (12, 12, 3))
    assert resized.get_layer("block_0").attention_dropout == 0.1


# === The interpolation ===


def ramp(rows, columns):
    """Positions of one prefix token, -1, and a plane that rises along the columns."""
    patches = np.tile((np.arange(columns) + 0.5) / columns, (rows, 1))
    return np.append(-1, patches).astype("float32")[:, None]


def test_axes_are_not_mixed_up():
    resized = np.array(resize_positions(ramp(2, 8), (2, 8), (4, 16)))
    assert resized[0] == -1
    grid = resized[1:].reshape(4, 16)
    np.testing.assert_allclose(grid, np.tile(grid[:1], (4, 1)), atol=1e-6)
    # A plane is kept by cubic interpolation, but for the border.
    expected = ramp(4, 16)[1:].reshape(4, 16)
    np.testing.assert_allclose(grid[:, 4:-4], expected[:, 4:-4], atol=1e-6)
    assert (np.diff(grid[0]) > 0).all()


def test_a_grid_of_as_many_patches_is_interpolated_too():
    resized = np.array(resize_positions(ramp(2, 8), (2, 8), (4, 4)))
    assert resized.shape == (17, 1)
    grid = resized[1:].reshape(4, 4)
    np.testing.assert_allclose(grid, np.tile(grid[:1], (4, 1)), atol=1e-6)


def test_half_precision_is_kept():
    positions = keras.ops.cast(ramp(2, 2), "bfloat16")
    resized = resize_positions(positions[None], (2, 2), (3, 3))
    assert resized.dtype == "bfloat16"
    assert resized.shape == (1, 10, 1)


# === Refusals ===


def test_positions_of_another_grid_are_refused():
    with pytest.raises(ValueError, match=r"at least 3 \* 3 positions"):
        resize_positions(ramp(2, 2), (3, 3), (4, 4))


@pytest.mark.parametrize(
    "image_shape", [(8, 8), (8, 8, 2), (9, 8, 3), (0, 8, 3), (8, 8, 3, 3)]
)
def test_a_bad_image_shape_is_refused(vit, image_shape):
    with pytest.raises(ValueError, match="`image_shape`|image_shape="):
        at_resolution(vit, image_shape)


def test_an_image_that_is_not_square_is_refused_by_keras_cv():
    with pytest.raises(ValueError, match="square images only"):
        at_resolution(BUILDERS["keras_cv"](), (8, 12, 3))


def test_another_model_is_refused():
    with pytest.raises(ValueError, match="must be a ViT classifier"):
        at_resolution(keras.Sequential([keras.layers.Dense(1)]), (8, 8, 3))


# === Other classes and channels ===


def test_other_classes_get_a_new_head_and_keep_the_rest(vit):
    other = with_classes(vit, 3)
    images = make_images(8, 8, 3)
    assert other(images).shape == (2, 3)
    pairs = list(zip(vit.weights, other.weights, strict=True))
    for source, target in pairs[:-2]:
        assert source is not target
        np.testing.assert_array_equal(source, target)
    assert np.any(read_stages(with_classes(vit, 5)).head.kernel - pairs[-2][0])


def test_a_gray_image_gets_the_tokens_of_its_repetition(vit):
    gray = make_images(8, 8, 1)
    embedding = read_stages(at_resolution(vit, (8, 8, 1))).embedding
    repeated = read_stages(vit).embedding(np.repeat(gray, 3, axis=-1))
    np.testing.assert_allclose(embedding(gray), repeated, atol=1e-5)


def test_a_colour_image_gets_the_tokens_of_its_mean(vit):
    colour = make_images(8, 8, 3)
    gray = at_resolution(vit, (8, 8, 1))
    mean = read_stages(gray).embedding(colour.mean(-1, keepdims=True))
    embedding = read_stages(at_resolution(gray, (8, 8, 3))).embedding
    np.testing.assert_allclose(embedding(colour), mean, atol=1e-5)
