"""A random orthogonal map per slot, of full or of low rank."""

import math

import keras
from keras import ops

from keras_concatplexer.arguments import positive_int
from keras_concatplexer.layers import slot_keys


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class OrthogonalTransform(keras.layers.Layer):
    """Maps the tokens of each slot by that slot's random orthogonal matrix.

    Full or of low rank, both from DataMUX (arXiv 2202.09318). Of low rank, slot
    `i` reads `r = hidden_dim // num_mux` directions `V_i` and writes them to `r`
    directions `U_i`: `x -> U_i V_i^T x * sqrt(hidden_dim / r)`. The columns of all
    `U_i` are orthonormal, and those of all `V_i` too, so that the slots do not
    meet in the mixture. The scale, our choice, keeps the variance.

    Args:
        num_mux: int. Images per group.
        low_rank: bool.
        trainable_keys: bool. Whether the matrices are trained; they are then
            orthogonal only at the start.
        seed: int >= 0. The matrices follow from it.

    Input shape: `(num_groups, num_mux, num_tokens, hidden_dim)`, float.
    Output shape: the same.

    Raises:
        ValueError: if an argument is invalid, or the features are too few
            for a low rank of at least 1.

    Example:

    >>> OrthogonalTransform(num_mux=2)(np.zeros((1, 2, 5, 8))).shape
    TensorShape([1, 2, 5, 8])
    """

    def __init__(self, num_mux, low_rank=False, trainable_keys=False, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.num_mux = positive_int("num_mux", num_mux)
        self.low_rank = low_rank
        self.trainable_keys = trainable_keys
        self.seed = seed

    def build(self, input_shape):
        hidden_dim = input_shape[-1]
        if not self.low_rank:
            matrices = slot_keys.orthogonal(self.num_mux, hidden_dim, self.seed)
            self.matrices = self._add_keys("matrices", matrices)
            return
        rank = hidden_dim // self.num_mux
        if rank < 1:
            raise ValueError(
                "Low-rank orthogonal maps need a feature per slot. Received: "
                f"hidden_dim={hidden_dim}, num_mux={self.num_mux}"
            )
        self.scale = math.sqrt(hidden_dim / rank)
        self.reading, self.writing = (
            self._add_keys(
                name,
                slot_keys.orthonormal_frames(self.num_mux, hidden_dim, rank, seed),
            )
            for name, seed in (("reading", self.seed), ("writing", self.seed + 1))
        )

    def _add_keys(self, name, keys):
        return self.add_weight(
            shape=keys.shape,
            initializer=slot_keys.initializer(keys),
            trainable=self.trainable_keys,
            name=name,
        )

    def call(self, inputs):
        if not self.low_rank:
            return ops.einsum("gnld,nde->gnle", inputs, self.matrices)
        directions = ops.einsum("gnld,ndr->gnlr", inputs, self.reading)
        return self.scale * ops.einsum("gnlr,ner->gnle", directions, self.writing)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "num_mux": self.num_mux,
            "low_rank": self.low_rank,
            "trainable_keys": self.trainable_keys,
            "seed": self.seed,
        }
