"""An elementwise product per slot."""

import keras

from keras_concatplexer.arguments import one_of, positive_int
from keras_concatplexer.layers import slot_keys

KINDS = ("gaussian", "binary")


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class HadamardTransform(keras.layers.Layer):
    """Multiplies the tokens of each slot by that slot's vector, elementwise.

    `"gaussian"`: a fixed Gaussian vector, scaled to a mean square of 1, which is
    our choice. `"binary"`: each slot keeps its own chunk of the features. Both
    are from DataMUX (arXiv 2202.09318).

    Args:
        num_mux: int. Images per group.
        kind: `"gaussian"` or `"binary"`.
        overlap: float from 0 to 1. For `"binary"`: the share of the next slot's
            chunk that a slot keeps too. Our definition.
        trainable_keys: bool. Whether the vectors are trained; binary ones are
            then binary only at the start.
        seed: int >= 0. The vectors follow from it.

    Input shape: `(num_groups, num_mux, num_tokens, hidden_dim)`, float.
    Output shape: the same.

    Raises:
        ValueError: if an argument is invalid, or the features are too few
            to give each slot a chunk.

    Example:

    >>> HadamardTransform(num_mux=2)(np.zeros((1, 2, 5, 8))).shape
    TensorShape([1, 2, 5, 8])
    """

    def __init__(
        self,
        num_mux,
        kind="gaussian",
        overlap=0.0,
        trainable_keys=False,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_mux = positive_int("num_mux", num_mux)
        self.kind = one_of("kind", kind, KINDS)
        if not 0 <= overlap <= 1 or (overlap and kind != "binary"):
            raise ValueError(
                "`overlap` must be from 0 to 1, and 0 unless the Hadamard product "
                f"is binary. Received: overlap={overlap!r}, kind={kind!r}"
            )
        self.overlap = overlap
        self.trainable_keys = trainable_keys
        self.seed = seed

    def build(self, input_shape):
        hidden_dim = input_shape[-1]
        if self.kind == "gaussian":
            keys = slot_keys.gaussian(self.num_mux, hidden_dim, self.seed)
        elif hidden_dim >= self.num_mux:
            keys = slot_keys.binary(self.num_mux, hidden_dim, self.overlap)
        else:
            raise ValueError(
                "A binary Hadamard product needs a feature per slot. Received: "
                f"hidden_dim={hidden_dim}, num_mux={self.num_mux}"
            )
        self.keys = self.add_weight(
            shape=(self.num_mux, 1, hidden_dim),
            initializer=slot_keys.initializer(keys),
            trainable=self.trainable_keys,
            name="keys",
        )

    def call(self, inputs):
        return inputs * self.keys

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "num_mux": self.num_mux,
            "kind": self.kind,
            "overlap": self.overlap,
            "trainable_keys": self.trainable_keys,
            "seed": self.seed,
        }
