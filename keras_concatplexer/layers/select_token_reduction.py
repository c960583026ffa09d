"""Token reduction by keeping what the class token attends to."""

import keras
from keras import ops

from keras_concatplexer.layers.token_reduction import TokenReduction


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class SelectTokenReduction(TokenReduction):
    """Keeps the patch tokens of the highest scores, in their order.

    With the scores of `ClassAttention` this is the token selection of EViT (Liang
    et al., arXiv 2202.07800, section 3), without its fused token of the rest.

    Args:
        grid_shape: pair of ints `(rows, columns)` of the patch grid.
        strides: int or pair of ints; fix only the number of tokens kept.

    Call arguments:
        inputs: `(batch_size, rows * columns, hidden_dim)`, float.
        scores: `(batch_size, rows * columns)`, float; no gradient flows to them.

    Output shape: `(batch_size, ceil(rows / strides[0]) * ceil(columns /
        strides[1]), hidden_dim)`.

    Raises:
        ValueError: if an argument is invalid.

    Example:

    >>> layer = SelectTokenReduction((1, 4), strides=(1, 2))
    >>> tokens = np.arange(4.0).reshape(1, 4, 1)
    >>> print(layer(tokens, scores=np.array([[0.1, 0.4, 0.2, 0.3]]))[0, :, 0].numpy())
    [1. 3.]
    """

    def build(self, inputs_shape, scores_shape):
        self.built = True

    def call(self, inputs, scores):
        _, best = ops.top_k(scores, self.num_reduced_tokens, sorted=False)
        # (B, T) -> (B, T, 1)
        kept = ops.sort(best, axis=-1)[..., None]
        return ops.take_along_axis(inputs, kept, axis=1)

    def compute_output_shape(self, inputs_shape, scores_shape):
        return super().compute_output_shape(inputs_shape)


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ClassAttention(keras.layers.Layer):
    """How much the class token of a block attends to each patch token.

    Computed a second time from the block's own norm and attention, whose weights
    it shares: softmax over all tokens, mean over the heads.

    Args:
        norm: the `LayerNormalization` in front of the block's attention.
        attention: the block's `MultiHeadAttention`, built.
        num_prefix_tokens: int. Tokens in front of the patches.

    Input shape: the block's input, `(batch_size, num_tokens, hidden_dim)`.
    Output shape: `(batch_size, num_tokens - num_prefix_tokens)`, float32.
    """

    def __init__(self, norm, attention, num_prefix_tokens, **kwargs):
        super().__init__(**kwargs)
        self.norm = norm
        self.attention = attention
        self.num_prefix_tokens = num_prefix_tokens

    def build(self, input_shape):
        self.built = True

    def call(self, inputs):
        tokens = self.norm(inputs)
        # (B, L, D) -> (B, 1, heads, D / heads) and (B, L, heads, D / heads)
        query = self.attention.query_dense(tokens[:, :1])
        key = self.attention.key_dense(tokens)
        # -> (B, heads, L)
        scores = ops.einsum("bqhd,bkhd->bhqk", query, key)[:, :, 0]
        scores = ops.cast(scores, "float32") / key.shape[-1] ** 0.5
        attention = ops.mean(ops.softmax(scores), axis=1)
        return attention[:, self.num_prefix_tokens :]

    def compute_output_shape(self, input_shape):
        return input_shape[0], input_shape[1] - self.num_prefix_tokens
