"""C-Multiplexer and concatenation: many images, one sequence."""

import keras
from keras import ops

from keras_concatplexer.arguments import int_pair, one_of, positive_int
from keras_concatplexer.layers import grouping
from keras_concatplexer.layers.slot_embedding import SlotEmbedding
from keras_concatplexer.layers.token_reduction import (
    ConvTokenReduction,
    default_kernel_size,
    default_strides,
    reduced_grid,
)

REDUCERS = ("conv",)


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ConcatMultiplexer(keras.layers.Layer):
    """Reduces each image's tokens and joins `num_mux` images into one sequence.

    The C-Multiplexer of ConcatPlexer (arXiv 2308.11199): patch tokens are reduced
    on their grid, then the images of a group are concatenated along dim 1.
    Each image keeps its prefix tokens (its class token), which are never reduced.
    A batch that `num_mux` does not divide is filled with its own first images.

    Args:
        num_mux: int. Images per sequence (N_MUX in the paper). With 1, images stay
            apart, and there is no slot embedding.
        grid_shape: pair of ints `(rows, columns)` of the patch grid.
        kernel_size: int, pair of ints or `None`: the strides, at least 2 each.
        strides: int, pair of ints or `None`: keeps `1 / num_mux` of the tokens,
            halving columns first. `(1, 1)` with a kernel of 1 reduces nothing.
        reducer: `"conv"`.
        num_prefix_tokens: int. Tokens in front of the patches that are kept.

    Input shape: `(batch_size, num_prefix_tokens + rows * columns, hidden_dim)`.
    Output shape: `(ceil(batch_size / num_mux), num_mux * (num_prefix_tokens +
        num_reduced_tokens), hidden_dim)`, in the dtype of the input.

    Raises:
        ValueError: if an argument is not as above, or the input has another
            number of tokens.

    Example:

    >>> layer = ConcatMultiplexer(num_mux=2, grid_shape=(4, 4))
    >>> layer(np.zeros((3, 17, 8))).shape
    TensorShape([2, 18, 8])
    """

    def __init__(
        self,
        num_mux,
        grid_shape,
        kernel_size=None,
        strides=None,
        reducer="conv",
        num_prefix_tokens=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_mux = positive_int("num_mux", num_mux)
        self.grid_shape = int_pair("grid_shape", grid_shape)
        self.strides = int_pair(
            "strides", default_strides(num_mux) if strides is None else strides
        )
        self.kernel_size = int_pair(
            "kernel_size",
            default_kernel_size(self.strides) if kernel_size is None else kernel_size,
        )
        self.reducer = one_of("reducer", reducer, REDUCERS)
        self.num_prefix_tokens = num_prefix_tokens
        self.reduction = None
        if (self.strides, self.kernel_size) != ((1, 1), (1, 1)):
            self.reduction = ConvTokenReduction(
                self.grid_shape,
                self.kernel_size,
                self.strides,
                dtype=self.dtype_policy,
                name="reduction",
            )
        self.slot_embedding = None
        if num_mux > 1:
            self.slot_embedding = SlotEmbedding(
                num_mux, dtype=self.dtype_policy, name="slot_embedding"
            )

    @property
    def tokens_per_image(self):
        """Prefix and reduced patch tokens of one image, an int."""
        rows, columns = reduced_grid(self.grid_shape, self.strides)
        return self.num_prefix_tokens + rows * columns

    def build(self, input_shape):
        rows, columns = self.grid_shape
        num_tokens = self.num_prefix_tokens + rows * columns
        if len(input_shape) != 3 or input_shape[1] != num_tokens:
            raise ValueError(
                f"Expected tokens of shape (batch_size, {num_tokens}, hidden_dim): "
                f"{self.num_prefix_tokens} prefix and {rows} x {columns} patch "
                f"tokens. Received: shape={tuple(input_shape)}"
            )
        hidden_dim = input_shape[-1]
        if self.reduction is not None:
            self.reduction.build((None, rows * columns, hidden_dim))
        if self.slot_embedding is not None:
            self.slot_embedding.build(
                (None, self.num_mux, self.tokens_per_image, hidden_dim)
            )

    def call(self, inputs):
        tokens = inputs
        if self.reduction is not None:
            prefix = tokens[:, : self.num_prefix_tokens]
            patches = tokens[:, self.num_prefix_tokens :]
            tokens = ops.concatenate([prefix, self.reduction(patches)], axis=1)
        if self.num_mux == 1:
            return tokens
        groups = self.slot_embedding(grouping.group(tokens, self.num_mux))
        # (G, N, 1 + T, D) -> (G, N * (1 + T), D)
        return ops.reshape(
            groups, (-1, self.num_mux * self.tokens_per_image, inputs.shape[-1])
        )

    def compute_output_shape(self, input_shape):
        batch_size, _, hidden_dim = input_shape
        return (
            grouping.num_groups(batch_size, self.num_mux),
            self.num_mux * self.tokens_per_image,
            hidden_dim,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_mux": self.num_mux,
            "grid_shape": self.grid_shape,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "reducer": self.reducer,
            "num_prefix_tokens": self.num_prefix_tokens,
        }
