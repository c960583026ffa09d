"""The parts of the fused inference graph.

Tokens stay a matrix `(batch * tokens, width)` and each projection is one matrix
product with its bias (and GELU) behind it, so that TensorFlow's oneDNN fusions apply.
Query, key and value are one product, with the attention's scale in its weights.
Weights are stored in the target precision; the statistics of layer norms are computed
in float32.
"""

import functools
import math

import tensorflow as tf
from keras import ops

from keras_concatplexer.vit.token_embedding import placed

# The products of a block whose answers are added to the tokens.
INTO_RESIDUAL = ("attention_out", "mlp_out")


def weight(value, dtype, name):
    """Returns a constant variable with `value` in the target precision."""
    value = tf.cast(tf.convert_to_tensor(value), dtype)
    return tf.Variable(value, trainable=False, name=name)


class FusedNorm(tf.Module):
    """Layer norm over the last axis of a matrix, its statistics in float32.

    Written as a batch norm whose channels are the rows: TensorFlow's optimizer knows
    this form and makes one oneDNN operation of it, where mean, variance and scale by
    themselves stay eight. Without oneDNN it is right, and slower.
    """

    def __init__(self, norm, dtype):
        super().__init__(name="norm")
        self.gamma = weight(norm.gamma, dtype, "gamma")
        self.beta = weight(norm.beta, dtype, "beta")
        self._epsilon = norm.epsilon

    def __call__(self, inputs):
        num_rows, width = ops.shape(inputs)
        # (rows, width) -> (1, rows, width, 1): one channel per row.
        channels = tf.reshape(inputs, (1, num_rows, width, 1))
        normed, _, _ = tf.compat.v1.nn.fused_batch_norm(
            channels,
            scale=tf.ones(num_rows),
            offset=tf.zeros(num_rows),
            epsilon=self._epsilon,
            data_format="NCHW",
            is_training=True,
        )
        return tf.reshape(normed, (num_rows, width)) * self.gamma + self.beta


class FusedDense(tf.Module):
    """A matrix product, its bias and an activation on `(rows, width)`."""

    def __init__(self, kernel, bias, dtype, name, activation=None):
        super().__init__(name=name)
        self.activation = activation
        self.kernel = weight(kernel, dtype, "kernel")
        if bias is None:
            bias = tf.zeros(self.kernel.shape[-1])
        self.bias = weight(bias, dtype, "bias")

    def __call__(self, inputs):
        inputs = tf.cast(inputs, self.kernel.dtype)
        outputs = tf.nn.bias_add(tf.matmul(inputs, self.kernel), self.bias)
        return outputs if self.activation is None else self.activation(outputs)


class FusedBlock(tf.Module):
    """A transformer block.

    Args:
        parts: `BlockParts` of the trained block.
        dtype: `tf.DType` of the weights.
        residual_dtype: `tf.DType` of the tokens, to which each half of the block adds.
        name: str.
        queries: `"all"`, or `"first"` for a last block of which only the first
            token of each image is read: then only that one asks, and only it goes
            through the MLP. The answer is the same, at a sixth of the cost.
    """

    def __init__(self, parts, dtype, residual_dtype, name, queries="all"):
        super().__init__(name=name)
        attention = parts.attention
        self._num_heads = attention.num_heads
        self._queries = queries
        self.norm1 = FusedNorm(parts.norm1, residual_dtype)
        self.norm2 = FusedNorm(parts.norm2, residual_dtype)
        scale = attention.key_dim**-0.5
        query = flat_projection(attention.query_dense, scale)
        key, value = map(flat_projection, (attention.key_dense, attention.value_dense))
        if queries == "all":
            self.qkv = joined("qkv", dtype, query, key, value)
        else:
            self.query = joined("query", dtype, query)
            self.key_value = joined("key_value", dtype, key, value)
        self.attention_out = FusedDense(
            *flat_output(attention.output_dense, parts.scales[0]),
            *(dtype, "attention_out"),
        )
        self.mlp_in = FusedDense(
            *(parts.mlp_in.kernel, parts.mlp_in.bias, dtype, "mlp_in"),
            parts.activation,
        )
        self.mlp_out = FusedDense(
            *flat_output(parts.mlp_out, parts.scales[1]), dtype, "mlp_out"
        )

    def __call__(self, tokens, num_tokens, images_per_sequence=1):
        """Runs the block.

        Args:
            tokens: `(sequences * num_tokens, width)`.
            num_tokens: int. Tokens of a sequence.
            images_per_sequence: int.

        Returns:
            `tokens`, or with `queries="first"` the first of each image only,
            `(sequences * images_per_sequence, width)`.
        """
        with tf.name_scope(self.name):
            heads = functools.partial(split_heads, num_heads=self._num_heads)
            normed = self.norm1(tokens)
            if self._queries == "all":
                query, key, value = heads(self.qkv(normed), num_tokens, 3)
            else:
                per_image = num_tokens // images_per_sequence
                normed_first = _first(normed, per_image)
                tokens = _first(tokens, per_image)
                key, value = heads(self.key_value(normed), num_tokens, 2)
                (query,) = heads(self.query(normed_first), images_per_sequence, 1)
            mixed = self.attention_out(attend(query, key, value))
            tokens += tf.cast(mixed, tokens.dtype)
            hidden = self.mlp_in(self.norm2(tokens))
            return tokens + tf.cast(self.mlp_out(hidden), tokens.dtype)

    @property
    def products(self):
        """Tuple of str, the attributes that hold the matrix products with weights."""
        projections = ("qkv",) if self._queries == "all" else ("query", "key_value")
        return (*projections, "attention_out", "mlp_in", "mlp_out")


def split_heads(projected, num_tokens, num_parts, num_heads):
    """`(S * L, parts * D)` -> as many of `(S, heads, L, D / heads)`."""
    head_dim = projected.shape[-1] // num_parts // num_heads
    parts = tf.reshape(projected, (-1, num_tokens, num_parts, num_heads, head_dim))
    # (S, L, parts, heads, D / heads) -> (parts, S, heads, L, D / heads)
    return tf.unstack(tf.transpose(parts, (2, 0, 3, 1, 4)), num_parts)


def attend(query, key, value):
    """Three of `(S, heads, L, D / heads)` -> `(S * L, D)`, one L per query."""
    scores = tf.matmul(query, key, transpose_b=True)
    # The kernel accumulates in float32, whatever the dtype.
    weights = tf.nn.softmax(scores)
    # (S, heads, L, D / heads) -> (S, L, heads, D / heads) -> (S * L, D)
    mixed = tf.transpose(tf.matmul(weights, value), (0, 2, 1, 3))
    return tf.reshape(mixed, (-1, mixed.shape[2] * mixed.shape[3]))


def _first(tokens, num_tokens):
    """The first of every `num_tokens` rows."""
    width = tokens.shape[-1]
    return tf.reshape(tokens, (-1, num_tokens, width))[:, 0]


def flat_projection(layer, scale=1.0):
    """Kernel `(D, D)` and bias `(D,)` of one of an attention's projections."""
    width = layer.kernel.shape[0]
    kernel = tf.reshape(layer.kernel, (width, -1))
    bias = tf.zeros(kernel.shape[-1]) if layer.bias is None else layer.bias
    return kernel * scale, tf.reshape(bias, [-1]) * scale


def flat_output(layer, scale=None):
    """Kernel `(..., D)` as a matrix and bias of a layer with its LayerScale inside."""
    width = layer.kernel.shape[-1]
    kernel = tf.reshape(layer.kernel, (-1, width))
    if scale is None:
        return kernel, layer.bias
    return kernel * scale, None if layer.bias is None else layer.bias * scale


def joined(name, dtype, *projections):
    """Returns one `FusedDense` of several kernels and biases side by side."""
    kernels, biases = zip(*projections, strict=True)
    return FusedDense(tf.concat(kernels, 1), tf.concat(biases, 0), dtype, name)


class FusedEmbedding(tf.Module):
    """Images `(B, H, W, C)` -> tokens `(B * (prefix + P), width)`."""

    def __init__(self, stages, dtype):
        super().__init__(name="embedding")
        parts, width = stages.embedding_parts, stages.hidden_dim
        num_patches = math.prod(stages.grid_shape)
        kernel = tf.convert_to_tensor(parts.projection.kernel)
        self._patch_shape = tuple(kernel.shape[:2])
        self._grid_shape = stages.grid_shape
        self.projection = FusedDense(
            tf.reshape(kernel, (-1, width)), parts.projection.bias, dtype, "projection"
        )
        prefix, positions = placed(parts, num_patches)
        # What stands in front is the same for every image.
        self.prefix = None if prefix is None else weight(prefix, dtype, "prefix")
        self.positions = weight(positions, dtype, "positions")
        self.norm = None if parts.norm is None else FusedNorm(parts.norm, dtype)

    def __call__(self, images):
        rows, columns = self._grid_shape
        height, width = self._patch_shape
        channels, dim = images.shape[-1], self.positions.shape[-1]
        # (B, gh, ph, gw, pw, C) -> (B, gh, gw, ph, pw, C) -> (B * P, ph * pw * C)
        patches = tf.reshape(images, (-1, rows, height, columns, width, channels))
        patches = tf.transpose(patches, (0, 1, 3, 2, 4, 5))
        patches = tf.reshape(patches, (-1, height * width * channels))
        patches = self.projection(tf.cast(patches, self.positions.dtype))
        tokens = tf.reshape(patches, (-1, rows * columns, dim)) + self.positions
        if self.prefix is not None:
            prefix = tf.tile(self.prefix, (ops.shape(images)[0], 1, 1))
            tokens = tf.concat([prefix, tokens], axis=1)
        tokens = tf.reshape(tokens, (-1, dim))
        return tokens if self.norm is None else self.norm(tokens)
