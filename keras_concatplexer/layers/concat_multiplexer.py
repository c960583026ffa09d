"""C-Multiplexer and concatenation: many images, one sequence."""

import keras
from keras import ops

from keras_concatplexer.arguments import int_pair, one_of, positive_int
from keras_concatplexer.choices import REDUCERS
from keras_concatplexer.layers import grouping
from keras_concatplexer.layers.conv_token_reduction import ConvTokenReduction
from keras_concatplexer.layers.mean_token_reduction import MeanTokenReduction
from keras_concatplexer.layers.select_token_reduction import SelectTokenReduction
from keras_concatplexer.layers.slot_embedding import SlotEmbedding
from keras_concatplexer.layers.token_reduction import (
    default_kernel_size,
    reduced_grid,
)
from keras_concatplexer.layers.tome_token_reduction import ToMeTokenReduction

REDUCTIONS = dict(
    zip(
        REDUCERS,
        (
            ConvTokenReduction,
            MeanTokenReduction,
            ToMeTokenReduction,
            SelectTokenReduction,
        ),
        strict=True,
    )
)


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ConcatMultiplexer(keras.layers.Layer):
    """Reduces each image's tokens and joins several images into one sequence.

    The C-Multiplexer of ConcatPlexer (arXiv 2308.11199): patch tokens are reduced
    on their grid, then the images of a group are concatenated along dim 1.
    Each image keeps its prefix tokens (its class token), which are never reduced.
    A batch that the images per sequence do not divide is filled with its own first
    images.

    Args:
        images_per_sequence: int. With 1, images stay apart, and there is no slot
            embedding.
        grid_shape: pair of ints `(rows, columns)` of the patch grid.
        strides: int or pair of ints, the step of the reduction on the grid. `(1, 1)`
            keeps every token.
        kernel_size: int, pair of ints or `None`: the strides, at least 2 each where
            they reduce. For the reducer `"conv"` only. `(1, 1)` with the strides
            `(1, 1)` leaves the tokens as they are.
        reducer: `"conv"` (the paper's), `"mean"`, `"tome"` or `"select"`; all to
            the same number of tokens.
        num_prefix_tokens: int. Tokens in front of the patches that are kept.
        return_sizes: bool. For the reducer `"tome"`: whether to return, as a second
            tensor, the logarithm of how many patches each token stands for.
        shuffle_slots: bool. In training, draw for each group which image gets which
            slot's vector; see `SlotEmbedding`.
        seed: int or `None`. Of these draws.
        hidden_dim: int or `None`. For the reducer `"conv"`: width of the tokens that
            come out, to which the convolution maps the patch tokens and a dense layer
            the prefix. `None`: that of the input.

    Call arguments:
        inputs: `(batch_size, num_prefix_tokens + rows * columns,
            hidden_dim)`, float.
        scores: `(batch_size, rows * columns)`, for the reducer `"select"` only.

    Output shape: `(ceil(batch_size / images_per_sequence), images_per_sequence *
        (num_prefix_tokens + num_reduced_tokens), hidden_dim)`, in the dtype of the
        input; the sizes are float32, without the last axis.

    Raises:
        ValueError: if an argument is invalid, the input has another number of
            tokens, or `scores` are missing or out of place.

    Example:

    >>> layer = ConcatMultiplexer(2, grid_shape=(4, 4), strides=(1, 2))
    >>> layer(np.zeros((3, 17, 8))).shape
    TensorShape([2, 18, 8])
    """

    def __init__(
        self,
        images_per_sequence: int,
        grid_shape: tuple[int, int],
        strides: tuple[int, int],
        kernel_size: tuple[int, int] | None = None,
        reducer: str = "conv",
        num_prefix_tokens: int = 1,
        return_sizes: bool = False,
        shuffle_slots: bool = False,
        seed: int | None = None,
        hidden_dim: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.images_per_sequence = positive_int(
            "images_per_sequence", images_per_sequence
        )
        self.grid_shape = int_pair("grid_shape", grid_shape)
        self.strides = int_pair("strides", strides)
        self.reducer = one_of("reducer", reducer, REDUCERS)
        if reducer == "conv":
            if kernel_size is None:
                kernel_size = default_kernel_size(self.strides)
            kernel_size = int_pair("kernel_size", kernel_size)
        elif kernel_size is not None:
            raise ValueError(
                f"`kernel_size` goes with reducer='conv'. Received: reducer="
                f"{reducer!r}, kernel_size={kernel_size!r}"
            )
        if hidden_dim is not None and reducer != "conv":
            raise ValueError(
                "Only the reducer 'conv' maps to another width. Received: reducer="
                f"{reducer!r}, hidden_dim={hidden_dim!r}"
            )
        self.kernel_size = kernel_size
        self.hidden_dim = hidden_dim
        self.num_prefix_tokens = num_prefix_tokens
        self.reduction = self.prefix_projection = None
        options = {"dtype": self.dtype_policy, "name": "reduction"}
        if reducer == "conv":
            options |= {"kernel_size": kernel_size, "hidden_dim": hidden_dim}
        keeps_all = self.strides == (1, 1) and kernel_size in (None, (1, 1))
        if not keeps_all or hidden_dim is not None:
            self.reduction = REDUCTIONS[reducer](
                self.grid_shape, self.strides, **options
            )
        if hidden_dim is not None and num_prefix_tokens:
            self.prefix_projection = keras.layers.Dense(
                hidden_dim,
                kernel_initializer="identity",
                dtype=self.dtype_policy,
                name="prefix_projection",
            )
        if return_sizes and not isinstance(self.reduction, ToMeTokenReduction):
            raise ValueError(
                "Only the reducer 'tome' merges tokens of different sizes. Received: "
                f"return_sizes=True, reducer={reducer!r}, strides={self.strides}"
            )
        self.return_sizes = return_sizes
        self.shuffle_slots = shuffle_slots
        self.seed = seed
        self.slot_embedding = None
        if images_per_sequence > 1:
            self.slot_embedding = SlotEmbedding(
                images_per_sequence,
                shuffle_slots,
                seed,
                dtype=self.dtype_policy,
                name="slot_embedding",
            )

    @property
    def tokens_per_image(self):
        """Prefix and reduced patch tokens of one image, an int."""
        rows, columns = reduced_grid(self.grid_shape, self.strides)
        return self.num_prefix_tokens + rows * columns

    @property
    def needs_scores(self):
        """Whether the call takes `scores`."""
        return isinstance(self.reduction, SelectTokenReduction)

    def build(self, inputs_shape, scores_shape=None):
        rows, columns = self.grid_shape
        num_tokens = self.num_prefix_tokens + rows * columns
        if len(inputs_shape) != 3 or inputs_shape[1] != num_tokens:
            raise ValueError(
                f"Expected tokens of shape (batch_size, {num_tokens}, hidden_dim): "
                f"{self.num_prefix_tokens} prefix and {rows} x {columns} patch "
                f"tokens. Received: shape={tuple(inputs_shape)}"
            )
        if (scores_shape is not None) != self.needs_scores:
            raise ValueError(
                "`scores` must be given where the reducer 'select' reduces, and only "
                "there. "
                f"Received: reducer={self.reducer!r}, scores of shape {scores_shape}"
            )
        hidden_dim = inputs_shape[-1]
        if self.reduction is not None:
            given = () if scores_shape is None else (scores_shape,)
            self.reduction.build((None, rows * columns, hidden_dim), *given)
        if self.prefix_projection is not None:
            self.prefix_projection.build((None, self.num_prefix_tokens, hidden_dim))
        hidden_dim = self.hidden_dim or hidden_dim
        if self.slot_embedding is not None:
            self.slot_embedding.build(
                (None, self.images_per_sequence, self.tokens_per_image, hidden_dim)
            )

    def call(self, inputs, scores=None):
        tokens = inputs
        prefix = tokens[:, : self.num_prefix_tokens]
        patches = tokens[:, self.num_prefix_tokens :]
        if self.prefix_projection is not None:
            prefix = self.prefix_projection(prefix)
        if self.return_sizes:
            patches, sizes = self.reduction.merge(patches)
            sizes = ops.concatenate(
                [ops.ones_like(prefix[:, :, :1], dtype="float32"), sizes], axis=1
            )
            tokens = self._behind(prefix, patches)
            return self._sequence(tokens), self._joined(ops.log(sizes))[..., 0]
        if self.reduction is not None:
            given = () if scores is None else (scores,)
            tokens = self._behind(prefix, self.reduction(patches, *given))
        return self._sequence(tokens)

    def _behind(self, prefix, patches):
        if not self.num_prefix_tokens:
            return patches
        return ops.concatenate([prefix, patches], axis=1)

    def _sequence(self, tokens):
        if self.slot_embedding is None:
            return tokens
        return self._joined(tokens, self.slot_embedding)

    def _joined(self, tokens, change=lambda groups: groups):
        if self.images_per_sequence == 1:
            return tokens
        groups = change(grouping.group(tokens, self.images_per_sequence))
        # (G, N, 1 + T, D) -> (G, N * (1 + T), D)
        return ops.reshape(
            groups,
            (-1, self.images_per_sequence * self.tokens_per_image, tokens.shape[-1]),
        )

    def compute_output_shape(self, inputs_shape, scores_shape=None):
        batch_size, _, hidden_dim = inputs_shape
        shape = (
            grouping.num_groups(batch_size, self.images_per_sequence),
            self.images_per_sequence * self.tokens_per_image,
            self.hidden_dim or hidden_dim,
        )
        return (shape, shape[:2]) if self.return_sizes else shape

    def compute_output_spec(self, inputs, scores=None):
        shape = self.compute_output_shape(inputs.shape)
        if not self.return_sizes:
            return keras.KerasTensor(shape, self.compute_dtype)
        sequence, sizes = shape
        return (
            keras.KerasTensor(sequence, self.compute_dtype),
            keras.KerasTensor(sizes, "float32"),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "images_per_sequence": self.images_per_sequence,
            "grid_shape": self.grid_shape,
            "strides": self.strides,
            "kernel_size": self.kernel_size,
            "reducer": self.reducer,
            "num_prefix_tokens": self.num_prefix_tokens,
            "return_sizes": self.return_sizes,
            "shuffle_slots": self.shuffle_slots,
            "seed": self.seed,
            "hidden_dim": self.hidden_dim,
        }
