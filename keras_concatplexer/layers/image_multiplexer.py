"""Image Multiplexer: many images, the sequence of one."""

import math

import keras
from keras import ops

from keras_concatplexer.arguments import one_of, positive_int
from keras_concatplexer.choices import TRANSFORMS
from keras_concatplexer.layers import grouping
from keras_concatplexer.layers.contextual_transform import ContextualTransform
from keras_concatplexer.layers.hadamard_transform import HadamardTransform
from keras_concatplexer.layers.holographic_binding import HolographicBinding
from keras_concatplexer.layers.index_prefix import IndexPrefix
from keras_concatplexer.layers.orthogonal_transform import OrthogonalTransform


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ImageMultiplexer(keras.layers.Layer):
    """Transforms each image by its slot and adds the images of a group up.

    The sum is divided by `sqrt(num_mux)`: the mixture of independent images then
    has the variance of a single one. DataMUX does so for orthogonal transforms, and
    takes the mean after a Hadamard product; one rule for all is our choice. A batch
    that `num_mux` does not divide is filled with its own first images.

    Args:
        num_mux: int. Images per sequence (N_MUX in ConcatPlexer's paper). With 1
            the single image is transformed too.
        transform: what tells the slots apart.
            `"gaussian_hadamard"`: product with a Gaussian vector, `"binary_hadamard"`:
            a chunk of the features, `"random_orthogonal"`: an orthogonal matrix,
            `"low_rank_orthogonal"`: a map between subspaces that no other slot
            uses (DataMUX, arXiv 2202.09318); `"contextual"`: a transformer
            layer, a Hadamard product, a second layer (MUX-PLM, arXiv 2302.12441);
            `"holographic"`: circular convolution with a key (MIMONets, arXiv
            2312.02829).
        trainable_keys: bool. Whether the slots' vectors, matrices or keys are
            trained; masks and orthogonal matrices are such only at the start.
        overlap: float from 0 to 1. For `"binary_hadamard"`: the share of the next
            slot's chunk that a slot keeps too.
        num_heads: int or `None`. For `"contextual"`: attention heads; `None`: one
            per 64 features.
        index_prefix: bool. Whether to put `num_mux` index tokens in front, which
            `ImageDemultiplexer` with `method="index"` takes off again.
        seed: int >= 0. The slots' vectors, matrices or keys follow from it.

    Input shape: `(batch_size, num_tokens, hidden_dim)`, float.
    Output shape: `(ceil(batch_size / num_mux), num_tokens, hidden_dim)`, with
        `index_prefix` `num_mux` tokens more, in the layer's compute dtype.

    Raises:
        ValueError: if an argument is invalid, or `hidden_dim` does not suit
            the transform.

    Example:

    >>> layer = ImageMultiplexer(num_mux=2, index_prefix=True)
    >>> layer(np.zeros((3, 17, 8))).shape
    TensorShape([2, 19, 8])
    """

    def __init__(
        self,
        num_mux: int,
        transform: str = "gaussian_hadamard",
        trainable_keys: bool = False,
        overlap: float = 0.0,
        num_heads: int | None = None,
        index_prefix: bool = False,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_mux = positive_int("num_mux", num_mux)
        self.transform = one_of("transform", transform, TRANSFORMS)
        if overlap and transform != "binary_hadamard":
            raise ValueError(
                "`overlap` is an option of transform='binary_hadamard'. Received: "
                f"overlap={overlap!r}, transform={transform!r}"
            )
        if num_heads is not None and transform != "contextual":
            raise ValueError(
                "`num_heads` is an option of transform='contextual'. Received: "
                f"num_heads={num_heads!r}, transform={transform!r}"
            )
        self.trainable_keys = trainable_keys
        self.overlap = overlap
        self.num_heads = num_heads
        self.index_prefix = index_prefix
        self.seed = seed
        self.slot_transform = self._make_transform()
        self.prefix = None
        if index_prefix:
            self.prefix = IndexPrefix(num_mux, dtype=self.dtype_policy, name="prefix")

    @property
    def images_per_sequence(self):
        """Int. Images that one sequence holds: all of the group, mixed."""
        return self.num_mux

    def _make_transform(self):
        layer, options = {
            "gaussian_hadamard": (HadamardTransform, {"kind": "gaussian"}),
            "binary_hadamard": (
                HadamardTransform,
                {"kind": "binary", "overlap": self.overlap},
            ),
            "random_orthogonal": (OrthogonalTransform, {"low_rank": False}),
            "low_rank_orthogonal": (OrthogonalTransform, {"low_rank": True}),
            "contextual": (ContextualTransform, {"num_heads": self.num_heads}),
            "holographic": (HolographicBinding, {}),
        }[self.transform]
        return layer(
            self.num_mux,
            trainable_keys=self.trainable_keys,
            seed=self.seed,
            dtype=self.dtype_policy,
            name="slot_transform",
            **options,
        )

    def build(self, input_shape):
        if len(input_shape) != 3 or None in input_shape[1:]:
            raise ValueError(
                "Expected tokens of shape (batch_size, num_tokens, hidden_dim), the "
                f"last two known. Received: shape={tuple(input_shape)}"
            )
        groups_shape = (None, self.num_mux, *input_shape[1:])
        if self.prefix is not None:
            self.prefix.build(groups_shape)
            groups_shape = self.prefix.compute_output_shape(groups_shape)
        self.slot_transform.build(groups_shape)

    def call(self, inputs):
        groups = grouping.group(inputs, self.num_mux)
        if self.prefix is not None:
            groups = self.prefix(groups)
        # (G, N, L, D) -> (G, L, D)
        mixture = ops.sum(self.slot_transform(groups), axis=1)
        return mixture / math.sqrt(self.num_mux)

    def compute_output_shape(self, input_shape):
        batch_size, num_tokens, hidden_dim = input_shape
        return (
            grouping.num_groups(batch_size, self.num_mux),
            num_tokens + (self.num_mux if self.index_prefix else 0),
            hidden_dim,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_mux": self.num_mux,
            "transform": self.transform,
            "trainable_keys": self.trainable_keys,
            "overlap": self.overlap,
            "num_heads": self.num_heads,
            "index_prefix": self.index_prefix,
            "seed": self.seed,
        }
