"""A transformer block on tokens that stand for several patches."""

import keras
from keras import ops


class ProportionalBlock(keras.layers.Layer):
    """A trained block with proportional attention.

    A merged token counts as often as the patches in it: the logarithm of its size
    is added to its scores (Token Merging, Bolya et al., arXiv 2210.09461, section
    3). The layers of the block are used, not copied. It has no config of its own:
    the model that makes it rebuilds it.

    Args:
        parts: `vit.BlockParts` of a built block without attention dropout.

    Call arguments:
        inputs: `(num_sequences, num_tokens, hidden_dim)`, float.
        log_sizes: `(num_sequences, num_tokens)`, float32.

    Output shape: that of `inputs`.

    Raises:
        ValueError: if the attention has a dropout rate.
    """

    def __init__(self, parts, **kwargs):
        super().__init__(**kwargs)
        if rate := parts.attention.get_config()["dropout"]:
            raise ValueError(
                "Proportional attention has no dropout on its weights. Build the ViT "
                f"with attention_dropout=0. Received: attention_dropout={rate}"
            )
        self.norm1, self.attention = parts.norm1, parts.attention
        self.norm2 = parts.norm2
        self.mlp_in, self.mlp_out = parts.mlp_in, parts.mlp_out
        self.activation = parts.activation
        self.dropouts, self.scales = parts.dropouts, parts.scales

    def build(self, inputs_shape, log_sizes_shape):
        self.built = True

    def call(self, inputs, log_sizes):
        attended = self._attend(self.norm1(inputs), log_sizes)
        tokens = inputs + self._scaled(0, self._drop(0, attended))
        hidden = self.norm2(tokens)
        hidden = self.mlp_in(hidden)
        # The layer itself may have the activation inside, or not.
        if self.mlp_in.activation is keras.activations.linear:
            hidden = self.activation(hidden)
        hidden = self._drop(1, hidden)
        return tokens + self._scaled(1, self._drop(2, self.mlp_out(hidden)))

    def _scaled(self, place, tokens):
        scale = self.scales[place]
        return tokens if scale is None else tokens * scale

    def _drop(self, place, tokens):
        dropout = self.dropouts[place]
        return tokens if dropout is None else dropout(tokens)

    def _attend(self, tokens, log_sizes):
        # (S, L, D) -> (S, L, heads, D / heads)
        query = self.attention.query_dense(tokens)
        key = self.attention.key_dense(tokens)
        value = self.attention.value_dense(tokens)
        scores = ops.einsum("bqhd,bkhd->bhqk", query, key) / key.shape[-1] ** 0.5
        scores = ops.cast(scores, "float32") + log_sizes[:, None, None]
        weights = ops.cast(ops.softmax(scores), value.dtype)
        return self.attention.output_dense(
            ops.einsum("bhqk,bkhd->bqhd", weights, value)
        )

    def compute_output_shape(self, inputs_shape, log_sizes_shape):
        return tuple(inputs_shape)
