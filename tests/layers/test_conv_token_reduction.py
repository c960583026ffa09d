import keras
import numpy as np
import pytest

from keras_concatplexer.layers import ConvTokenReduction
from keras_concatplexer.layers.token_reduction import (
    default_kernel_size,
    default_strides,
)


def window_means(tokens, grid_shape, strides):
    """The mean of each stride window, over the tokens that exist in it."""
    rows, columns = grid_shape
    grid = tokens.reshape(len(tokens), rows, columns, -1)
    means = [
        grid[:, r : r + strides[0], c : c + strides[1]].mean(axis=(1, 2))
        for r in range(0, rows, strides[0])
        for c in range(0, columns, strides[1])
    ]
    return np.stack(means, axis=1)


@pytest.mark.parametrize(
    "kernel_size, strides",
    [
        ((2, 2), (1, 2)),
        ((2, 2), (2, 2)),
        ((2, 4), (2, 4)),
        ((3, 3), (1, 1)),
        ((3, 3), (2, 2)),
        ((4, 3), (2, 1)),
    ],
)
def test_starts_as_the_mean_over_the_stride_window(kernel_size, strides):
    tokens = np.random.default_rng(0).normal(size=(2, 32, 6)).astype("float32")
    layer = ConvTokenReduction((4, 8), strides, kernel_size)
    expected = window_means(tokens, (4, 8), strides)
    np.testing.assert_allclose(layer(tokens), expected, atol=1e-6)


def test_strides_need_not_divide_the_grid():
    tokens = np.random.default_rng(0).normal(size=(2, 35, 6)).astype("float32")
    layer = ConvTokenReduction((5, 7), (2, 2), (2, 2))
    outputs = layer(tokens)
    assert outputs.shape == (2, 3 * 4, 6)
    # Mirroring fills a window of one token with that token: no edge fades.
    expected = window_means(tokens, (5, 7), (2, 2))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_layer(check_layer):
    layer = ConvTokenReduction((4, 4), kernel_size=2, strides=(1, 2))
    check_layer(layer, (3, 16, 8), (3, 8, 8))


def test_defaults():
    assert [default_strides(n) for n in (1, 2, 4, 8, 16)] == [
        (1, 1),
        (1, 2),
        (2, 2),
        (2, 4),
        (4, 4),
    ]
    assert [default_kernel_size(s) for s in ((1, 1), (1, 2), (2, 2), (2, 4))] == [
        (1, 1),
        (2, 2),
        (2, 2),
        (2, 4),
    ]


def test_errors():
    with pytest.raises(ValueError, match="power of two. Received: num_mux=3"):
        default_strides(3)
    with pytest.raises(ValueError, match="`strides` must not be larger than the grid"):
        ConvTokenReduction((4, 4), kernel_size=5, strides=5)
    with pytest.raises(ValueError, match="`kernel_size` must not be smaller"):
        ConvTokenReduction((4, 4), kernel_size=1, strides=2)
    with pytest.raises(ValueError, match="`strides` must be a positive integer or"):
        ConvTokenReduction((4, 4), kernel_size=2, strides=(1, 2, 3))
    with pytest.raises(ValueError, match="`grid_shape` must be a positive integer or"):
        ConvTokenReduction((4, 0), kernel_size=2, strides=1)


def test_the_global_data_format_does_not_matter():
    tokens = np.random.default_rng(0).normal(size=(2, 12, 4)).astype("float32")
    expected = ConvTokenReduction((3, 4), (1, 2), 2)(tokens)
    keras.config.set_image_data_format("channels_first")
    try:
        found = ConvTokenReduction((3, 4), (1, 2), 2)(tokens)
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(found, expected)
