"""One MLP for all slots, told by a vector which slot to read."""

import keras
from keras import ops

from keras_concatplexer.arguments import positive_int


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class SlotConditionedMLP(keras.layers.Layer):
    """Reads one slot's token out of a mixed one, given that slot's vector.

    A two-layer MLP with tanh GELU on the concatenation of token and vector, as in
    DataMUX (arXiv 2202.09318) and MUX-PLM (arXiv 2302.12441). The first layer is
    computed in two parts, token and vector, and added: the same map, without a
    copy of the tokens per slot.

    Args:
        mlp_dim: int. Width of the hidden layer.

    Call arguments:
        tokens: `(num_groups, num_tokens, hidden_dim)`, float.
        slot_vectors: `(num_groups, num_mux, hidden_dim)`, or with 1 instead of
            `num_groups`, float.

    Output shape: `(num_groups, num_mux, num_tokens, hidden_dim)`.

    Raises:
        ValueError: if `mlp_dim` is not a positive integer.

    Example:

    >>> layer = SlotConditionedMLP(mlp_dim=16)
    >>> layer(np.zeros((3, 5, 8)), np.zeros((1, 2, 8))).shape
    TensorShape([3, 2, 5, 8])
    """

    def __init__(self, mlp_dim, **kwargs):
        super().__init__(**kwargs)
        self.mlp_dim = positive_int("mlp_dim", mlp_dim)

    def build(self, tokens_shape, slot_vectors_shape):
        hidden_dim = tokens_shape[-1]
        dtype = self.dtype_policy
        self.token_part = keras.layers.Dense(
            self.mlp_dim, dtype=dtype, name="token_part"
        )
        self.slot_part = keras.layers.Dense(
            self.mlp_dim, use_bias=False, dtype=dtype, name="slot_part"
        )
        self.projection = keras.layers.Dense(hidden_dim, dtype=dtype, name="projection")
        self.token_part.build(tokens_shape)
        self.slot_part.build(slot_vectors_shape)
        self.projection.build((None, None, None, self.mlp_dim))

    def call(self, tokens, slot_vectors):
        # (G, 1, L, M) + (G, N, 1, M) -> (G, N, L, M)
        hidden = (
            self.token_part(tokens)[:, None] + self.slot_part(slot_vectors)[:, :, None]
        )
        return self.projection(ops.gelu(hidden))

    def compute_output_shape(self, tokens_shape, slot_vectors_shape):
        num_groups, num_tokens, hidden_dim = tokens_shape
        return num_groups, slot_vectors_shape[1], num_tokens, hidden_dim

    def get_config(self):
        return {**super().get_config(), "mlp_dim": self.mlp_dim}
