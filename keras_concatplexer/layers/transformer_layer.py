"""One pre-norm transformer layer on any Keras backend."""

import keras
from keras import ops

from keras_concatplexer.arguments import positive_int


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class TransformerLayer(keras.layers.Layer):
    """Self-attention and an MLP, each behind a norm and beside a skip.

    The block of the Vision Transformer (arXiv 2010.11929), with tanh GELU.

    Args:
        num_heads: int. Attention heads; divides `hidden_dim`.
        mlp_dim: int or `None`. Width inside the MLP; `None`: `4 * hidden_dim`.

    Input shape: `(batch_size, num_tokens, hidden_dim)`, float.
    Output shape: the same.

    Raises:
        ValueError: if an argument is not a positive integer, or `num_heads` does
            not divide `hidden_dim`.

    Example:

    >>> TransformerLayer(num_heads=2)(np.zeros((1, 5, 8))).shape
    TensorShape([1, 5, 8])
    """

    def __init__(self, num_heads, mlp_dim=None, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = positive_int("num_heads", num_heads)
        if mlp_dim is not None:
            positive_int("mlp_dim", mlp_dim)
        self.mlp_dim = mlp_dim

    def build(self, input_shape):
        hidden_dim = input_shape[-1]
        if hidden_dim % self.num_heads:
            raise ValueError(
                "`num_heads` must divide the width of the tokens. Received: "
                f"num_heads={self.num_heads}, hidden_dim={hidden_dim}"
            )
        mlp_dim = 4 * hidden_dim if self.mlp_dim is None else self.mlp_dim
        dtype = self.dtype_policy
        self.attention_norm = keras.layers.LayerNormalization(
            epsilon=1e-6, dtype=dtype, name="attention_norm"
        )
        self.attention = keras.layers.MultiHeadAttention(
            self.num_heads, hidden_dim // self.num_heads, dtype=dtype, name="attention"
        )
        self.mlp_norm = keras.layers.LayerNormalization(
            epsilon=1e-6, dtype=dtype, name="mlp_norm"
        )
        self.expansion = keras.layers.Dense(
            mlp_dim, activation=ops.gelu, dtype=dtype, name="expansion"
        )
        self.projection = keras.layers.Dense(hidden_dim, dtype=dtype, name="projection")
        self.attention_norm.build(input_shape)
        self.attention.build(input_shape, input_shape)
        self.mlp_norm.build(input_shape)
        self.expansion.build(input_shape)
        self.projection.build((*input_shape[:-1], mlp_dim))

    def call(self, inputs):
        normed = self.attention_norm(inputs)
        tokens = inputs + self.attention(normed, normed)
        return tokens + self.projection(self.expansion(self.mlp_norm(tokens)))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
        }
