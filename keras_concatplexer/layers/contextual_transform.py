"""A transform of each slot that sees the image, and then its neighbours."""

import keras
from keras import ops

from keras_concatplexer.arguments import positive_int
from keras_concatplexer.layers.hadamard_transform import HadamardTransform
from keras_concatplexer.layers.transformer_layer import TransformerLayer


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ContextualTransform(keras.layers.Layer):
    """A transformer layer per image, a Hadamard product, a second layer.

    The contextual multiplexer of MUX-PLM (arXiv 2302.12441). The first layer
    attends along each image's tokens; the second, at each position, across the
    images of the group. Both are always trained.

    Args:
        num_mux: int. Images per group.
        num_heads: int or `None`. Attention heads of both layers; `None`: one per
            64 features, at least one.
        trainable_keys: bool. Whether the Hadamard vectors are trained too.
        seed: int >= 0. The Hadamard vectors follow from it.

    Input shape: `(num_groups, num_mux, num_tokens, hidden_dim)`, float.
    Output shape: the same.

    Raises:
        ValueError: if an argument is invalid, or the heads do not divide
            `hidden_dim`.

    Example:

    >>> ContextualTransform(num_mux=2)(np.zeros((1, 2, 5, 8))).shape
    TensorShape([1, 2, 5, 8])
    """

    def __init__(self, num_mux, num_heads=None, trainable_keys=False, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.num_mux = positive_int("num_mux", num_mux)
        if num_heads is not None:
            positive_int("num_heads", num_heads)
        self.num_heads = num_heads
        self.trainable_keys = trainable_keys
        self.seed = seed

    def build(self, input_shape):
        num_tokens, hidden_dim = input_shape[2:]
        num_heads = self.num_heads or max(1, hidden_dim // 64)
        dtype = self.dtype_policy
        self.image_layer = TransformerLayer(num_heads, dtype=dtype, name="image_layer")
        self.image_layer.build((None, num_tokens, hidden_dim))
        self.hadamard = HadamardTransform(
            self.num_mux,
            trainable_keys=self.trainable_keys,
            seed=self.seed,
            dtype=dtype,
            name="hadamard",
        )
        self.hadamard.build(input_shape)
        self.group_layer = TransformerLayer(num_heads, dtype=dtype, name="group_layer")
        self.group_layer.build((None, self.num_mux, hidden_dim))

    def call(self, inputs):
        _, num_mux, num_tokens, hidden_dim = inputs.shape
        # (G, N, L, D) -> (G * N, L, D) -> (G, N, L, D)
        images = ops.reshape(inputs, (-1, num_tokens, hidden_dim))
        tokens = ops.reshape(
            self.image_layer(images), (-1, num_mux, num_tokens, hidden_dim)
        )
        # (G, N, L, D) -> (G, L, N, D) -> (G * L, N, D)
        tokens = ops.transpose(self.hadamard(tokens), (0, 2, 1, 3))
        tokens = self.group_layer(ops.reshape(tokens, (-1, num_mux, hidden_dim)))
        # (G * L, N, D) -> (G, L, N, D) -> (G, N, L, D)
        tokens = ops.reshape(tokens, (-1, num_tokens, num_mux, hidden_dim))
        return ops.transpose(tokens, (0, 2, 1, 3))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "num_mux": self.num_mux,
            "num_heads": self.num_heads,
            "trainable_keys": self.trainable_keys,
            "seed": self.seed,
        }
