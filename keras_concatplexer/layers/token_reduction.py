"""What every reduction of an image's patch tokens shares.

Concatenation by itself saves nothing; the reduction does.
"""

import math

import keras
from keras import ops

from keras_concatplexer.arguments import int_pair


def default_strides(num_mux):
    """Returns the strides that keep `1 / num_mux` of the tokens.

    The columns are halved first: 2 -> (1, 2), 4 -> (2, 2), 8 -> (2, 4).

    Args:
        num_mux: int, a power of two.

    Raises:
        ValueError: if `num_mux` is not a power of two.
    """
    exponent = num_mux.bit_length() - 1
    if num_mux != 2**exponent:
        raise ValueError(
            "There are default `strides` only where `num_mux` is a power of two. "
            f"Received: num_mux={num_mux}. Pass `strides`, for example "
            "strides=(1, 2) to halve the tokens."
        )
    return 2 ** (exponent // 2), 2 ** ((exponent + 1) // 2)


def default_kernel_size(strides):
    """Returns the smallest window that covers `strides` and reduces anything.

    At least 2 in each direction; (1, 1) where nothing is reduced.
    """
    if strides == (1, 1):
        return 1, 1
    return max(2, strides[0]), max(2, strides[1])


def reduced_grid(grid_shape, strides):
    """Returns the grid `(ceil(rows / row_stride), ceil(columns / column_stride))`."""
    return tuple(math.ceil(g / s) for g, s in zip(grid_shape, strides, strict=True))


class TokenReduction(keras.layers.Layer):
    """Base of the layers that reduce patch tokens to a smaller number.

    Args:
        grid_shape: pair of ints `(rows, columns)` of the patch grid.
        strides: int or pair of ints, none larger than the grid. They need not
            divide it.

    Input shape: `(batch_size, rows * columns, hidden_dim)`, float.
    Output shape: `(batch_size, ceil(rows / strides[0]) * ceil(columns /
        strides[1]), hidden_dim)`.

    Raises:
        ValueError: if an argument is invalid.
    """

    def __init__(self, grid_shape: tuple[int, int], strides: tuple[int, int], **kwargs):
        super().__init__(**kwargs)
        self.grid_shape = int_pair("grid_shape", grid_shape)
        self.strides = int_pair("strides", strides)
        if any(s > g for s, g in zip(self.strides, self.grid_shape, strict=True)):
            raise ValueError(
                "`strides` must not be larger than the grid of patches. "
                f"Received: strides={self.strides}, grid_shape={self.grid_shape}"
            )

    @property
    def num_tokens(self):
        """Number of patch tokens that come in."""
        return math.prod(self.grid_shape)

    @property
    def num_reduced_tokens(self):
        """Number of patch tokens that go out."""
        return math.prod(reduced_grid(self.grid_shape, self.strides))

    def mirrored_grid(self, tokens):
        """Lays tokens out on a grid that the strides divide.

        A far edge that is missing is mirrored. Zeros would make the border fade.

        Returns:
            Tensor `(batch_size, rows', columns', hidden_dim)`.
        """
        # (B, P, D) -> (B, gh, gw, D)
        grid = ops.reshape(tokens, (-1, *self.grid_shape, tokens.shape[-1]))
        reduced = reduced_grid(self.grid_shape, self.strides)
        rows, columns = (
            out * stride - size
            for out, stride, size in zip(
                reduced, self.strides, self.grid_shape, strict=True
            )
        )
        if rows or columns:
            padding = ((0, 0), (0, rows), (0, columns), (0, 0))
            grid = ops.pad(grid, padding, mode="symmetric")
        return grid

    def compute_output_shape(self, input_shape):
        return input_shape[0], self.num_reduced_tokens, input_shape[-1]

    def get_config(self):
        return {
            **super().get_config(),
            "grid_shape": self.grid_shape,
            "strides": self.strides,
        }
