"""The reduction of one image's patch tokens on their grid.

Concatenation by itself saves nothing; this reduction does.
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


class WindowMean(keras.initializers.Initializer):
    """Initializes a convolution as the mean over its stride window.

    Args:
        strides: pair of ints. The window that is averaged.
        offset: pair of ints. Where in the kernel the window begins.
    """

    def __init__(self, strides, offset):
        self.strides = strides
        self.offset = offset

    def __call__(self, shape, dtype=None):
        rows, columns, input_dim, output_dim = shape
        taps = ops.zeros((rows, columns), dtype=dtype)
        window = ops.full(self.strides, 1 / math.prod(self.strides), dtype=dtype)
        taps = ops.slice_update(taps, self.offset, window)
        # (kh, kw) x (D, D) -> (kh, kw, D, D)
        identity = ops.eye(input_dim, output_dim, dtype=dtype)
        return taps[:, :, None, None] * identity[None, None]


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ConvTokenReduction(keras.layers.Layer):
    """Reduces patch tokens by a strided convolution on their grid.

    The convolution of the C-Multiplexer (ConcatPlexer, arXiv 2308.11199). Kernel,
    strides and initialisation are not given there; they are our choice. It starts
    as the identity averaged over the stride window, so a wrapped, trained ViT
    keeps its features at the first step.

    Args:
        grid_shape: pair of ints `(rows, columns)` of the patch grid.
        kernel_size: int or pair of ints, each at least the stride.
        strides: int or pair of ints, none larger than the grid. They need not
            divide it: the grid is then mirrored at its far edge.

    Input shape: `(batch_size, rows * columns, hidden_dim)`, float.
    Output shape: `(batch_size, ceil(rows / strides[0]) * ceil(columns /
        strides[1]), hidden_dim)`.

    Raises:
        ValueError: if an argument is not as above.

    Example:

    >>> layer = ConvTokenReduction((4, 4), kernel_size=(2, 2), strides=(1, 2))
    >>> layer(np.zeros((3, 16, 8))).shape
    TensorShape([3, 8, 8])
    """

    def __init__(self, grid_shape, kernel_size, strides, **kwargs):
        super().__init__(**kwargs)
        self.grid_shape = int_pair("grid_shape", grid_shape)
        self.kernel_size = int_pair("kernel_size", kernel_size)
        self.strides = int_pair("strides", strides)
        for grid, stride, kernel in zip(
            self.grid_shape, self.strides, self.kernel_size, strict=True
        ):
            if stride > grid:
                raise ValueError(
                    "`strides` must not be larger than the grid of patches. "
                    f"Received: strides={self.strides}, grid_shape={self.grid_shape}"
                )
            if kernel < stride:
                raise ValueError(
                    "`kernel_size` must not be smaller than `strides`, or tokens "
                    "would be skipped. Received: "
                    f"kernel_size={self.kernel_size}, strides={self.strides}"
                )

    @property
    def output_grid(self):
        return reduced_grid(self.grid_shape, self.strides)

    def build(self, input_shape):
        self.convolution = keras.layers.Conv2D(
            filters=input_shape[-1],
            kernel_size=self.kernel_size,
            strides=self.strides,
            padding="same",
            kernel_initializer=WindowMean(
                self.strides,
                # "same" padding puts the larger half behind.
                [
                    (k - s) // 2
                    for k, s in zip(self.kernel_size, self.strides, strict=True)
                ],
            ),
            dtype=self.dtype_policy,
            name="convolution",
        )
        self.convolution.build((None, *self.grid_shape, input_shape[-1]))

    def call(self, inputs):
        hidden_dim = inputs.shape[-1]
        # (B, P, D) -> (B, gh, gw, D)
        grid = ops.reshape(inputs, (-1, *self.grid_shape, hidden_dim))
        missing = [
            out * stride - size
            for out, stride, size in zip(
                self.output_grid, self.strides, self.grid_shape, strict=True
            )
        ]
        if any(missing):
            rows, columns = missing
            grid = ops.pad(
                grid, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="symmetric"
            )
        # (B, gh', gw', D) -> (B, T, D)
        return ops.reshape(
            self.convolution(grid), (-1, math.prod(self.output_grid), hidden_dim)
        )

    def compute_output_shape(self, input_shape):
        return input_shape[0], math.prod(self.output_grid), input_shape[-1]

    def get_config(self):
        return {
            **super().get_config(),
            "grid_shape": self.grid_shape,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
        }
