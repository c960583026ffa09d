"""From the last block's tokens to the features, in the fused inference graph."""

import tensorflow as tf

from savedmodel_export.fused.layers import (
    FusedDense,
    FusedNorm,
    attend,
    flat_output,
    flat_projection,
    joined,
    split_heads,
    weight,
)


class FusedAttentionPooling(tf.Module):
    """An attention pooling head.

    Its one query is the same for every image, so it is projected beforehand.

    Args:
        parts: `PoolingParts` of the trained head.
        dtype: `tf.DType` of weights and tokens.

    Call arguments:
        tokens: `(batch_size * num_tokens, width)`, normed.
        num_tokens: int. Tokens of an image.

    Returns:
        float32 features `(batch_size, width)`.
    """

    def __init__(self, parts, dtype):
        super().__init__(name="pooling")
        attention = parts.attention
        self._num_heads = attention.num_heads
        kernel, bias = flat_projection(attention.query_dense, attention.key_dim**-0.5)
        probe = tf.reshape(tf.convert_to_tensor(parts.probe), (1, -1))
        query = split_heads(tf.matmul(probe, kernel) + bias, 1, 1, self._num_heads)
        # (1, heads, 1, D / heads)
        self.query = weight(query[0], dtype, "query")
        projections = map(flat_projection, (attention.key_dense, attention.value_dense))
        self.key_value = joined("key_value", dtype, *projections)
        self.attention_out = FusedDense(
            *flat_output(attention.output_dense), dtype, "attention_out"
        )
        self.norm = FusedNorm(parts.norm, dtype)
        self.mlp_in = FusedDense(
            *(parts.mlp_in.kernel, parts.mlp_in.bias, dtype, "mlp_in"),
            parts.activation,
        )
        self.mlp_out = FusedDense(
            parts.mlp_out.kernel, parts.mlp_out.bias, dtype, "mlp_out"
        )

    def __call__(self, tokens, num_tokens):
        projected = self.key_value(tokens)
        key, value = split_heads(projected, num_tokens, 2, self._num_heads)
        attended = self.attention_out(attend(self.query, key, value))
        hidden = self.mlp_in(self.norm(attended))
        return tf.cast(attended + self.mlp_out(hidden), tf.float32)
