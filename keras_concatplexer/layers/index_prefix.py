"""Tokens in front of each image by which a demultiplexer tells the slots apart."""

import keras
from keras import ops

from keras_concatplexer.arguments import positive_int


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class IndexPrefix(keras.layers.Layer):
    """Puts `num_mux` learned tokens in front of each image's tokens.

    DataMUX (arXiv 2202.09318). Of the `num_mux` positions in front of the image in
    slot `i`, position `i` holds the index token of that slot, and all others hold one
    padding token. Behind the backbone the token at position `i` belongs to slot `i`.

    Args:
        num_mux: int. Images per group.

    Input shape: `(num_groups, num_mux, num_tokens, hidden_dim)`, float.
    Output shape: `(num_groups, num_mux, num_mux + num_tokens, hidden_dim)`.

    Raises:
        ValueError: if `num_mux` is not a positive integer.

    Example:

    >>> IndexPrefix(num_mux=2)(np.zeros((1, 2, 5, 8))).shape
    TensorShape([1, 2, 7, 8])
    """

    def __init__(self, num_mux, **kwargs):
        super().__init__(**kwargs)
        self.num_mux = positive_int("num_mux", num_mux)

    def build(self, input_shape):
        self.index_tokens = self._add_tokens("index_tokens", input_shape[-1])
        self.padding_token = None
        if self.num_mux > 1:
            self.padding_token = self._add_tokens("padding_token", input_shape[-1])

    def _add_tokens(self, name, hidden_dim):
        return self.add_weight(
            shape=(self.num_mux if name == "index_tokens" else 1, hidden_dim),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name=name,
        )

    def call(self, inputs):
        num_groups = ops.shape(inputs)[0]
        _, num_mux, _, hidden_dim = inputs.shape
        # [slot, position]: the slot's own token on the diagonal
        own = ops.eye(num_mux, dtype=inputs.dtype)[:, :, None]
        prefix = own * self.index_tokens[:, None, :]
        if self.padding_token is not None:
            prefix = prefix + (1 - own) * self.padding_token
        # (N, N, D) -> (G, N, N, D)
        prefix = ops.broadcast_to(prefix, (num_groups, num_mux, num_mux, hidden_dim))
        return ops.concatenate([prefix, inputs], axis=2)

    def compute_output_shape(self, input_shape):
        num_groups, num_mux, num_tokens, hidden_dim = input_shape
        return num_groups, num_mux, num_mux + num_tokens, hidden_dim

    def get_config(self):
        return {**super().get_config(), "num_mux": self.num_mux}
