"""Token reduction by a strided convolution: the paper's C-Multiplexer."""

import math

import keras
from keras import ops

from keras_concatplexer.arguments import int_pair, positive_int
from keras_concatplexer.layers.token_reduction import TokenReduction


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
        # (kh, kw) x (D, D') -> (kh, kw, D, D')
        identity = ops.eye(input_dim, output_dim, dtype=dtype)
        return taps[:, :, None, None] * identity[None, None]


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ConvTokenReduction(TokenReduction):
    """Reduces patch tokens by a strided convolution on their grid.

    The convolution of the C-Multiplexer (ConcatPlexer, arXiv 2308.11199). Kernel,
    strides and initialisation are not given there; they are our choice. It starts
    as the identity averaged over the stride window, so a wrapped, trained ViT
    keeps its features at the first step.

    Args:
        grid_shape: pair of ints `(rows, columns)` of the patch grid.
        strides: int or pair of ints, none larger than the grid. They need not
            divide it: the grid is then mirrored at its far edge.
        kernel_size: int or pair of ints, each at least the stride.
        hidden_dim: int or `None`. Width of the tokens that come out; `None`: that of
            the input. Further features start at 0.

    Input shape: `(batch_size, rows * columns, hidden_dim)`, float.
    Output shape: `(batch_size, ceil(rows / strides[0]) * ceil(columns /
        strides[1]), hidden_dim)`.

    Raises:
        ValueError: if an argument is invalid.

    Example:

    >>> layer = ConvTokenReduction((4, 4), strides=(1, 2), kernel_size=(2, 2))
    >>> layer(np.zeros((3, 16, 8))).shape
    TensorShape([3, 8, 8])
    """

    def __init__(
        self,
        grid_shape: tuple[int, int],
        strides: tuple[int, int],
        kernel_size: tuple[int, int],
        hidden_dim: int | None = None,
        **kwargs,
    ):
        super().__init__(grid_shape, strides, **kwargs)
        if hidden_dim is not None:
            positive_int("hidden_dim", hidden_dim)
        self.hidden_dim = hidden_dim
        self.kernel_size = int_pair("kernel_size", kernel_size)
        if any(k < s for k, s in zip(self.kernel_size, self.strides, strict=True)):
            raise ValueError(
                "`kernel_size` must not be smaller than `strides`, or tokens would "
                f"be skipped. Received: kernel_size={self.kernel_size}, "
                f"strides={self.strides}"
            )

    def build(self, input_shape):
        self.convolution = keras.layers.Conv2D(
            filters=self.hidden_dim or input_shape[-1],
            kernel_size=self.kernel_size,
            strides=self.strides,
            padding="same",
            data_format="channels_last",
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
        # (B, gh', gw', D) -> (B, T, D)
        return ops.reshape(
            self.convolution(self.mirrored_grid(inputs)),
            (-1, self.num_reduced_tokens, self.convolution.filters),
        )

    def compute_output_shape(self, input_shape):
        *shape, hidden_dim = super().compute_output_shape(input_shape)
        return *shape, self.hidden_dim or hidden_dim

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "hidden_dim": self.hidden_dim,
        }
