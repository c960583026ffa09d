"""Multiplexers and demultiplexers in the fused inference graph.

Each takes and returns tokens as a matrix `(rows, width)`. That of ConcatPlexer is
built from its weights; the others run as their Keras layers, in float32.
"""

import tensorflow as tf

from keras_concatplexer.layers import ConvTokenReduction, grouping
from savedmodel_export.fused.layers import FusedDense, weight


class FusedConcatMultiplexer(tf.Module):
    """The C-Multiplexer and the concatenation of a `ConcatMultiplexer`."""

    def __init__(self, multiplexer, dtype):
        super().__init__(name="multiplexer")
        self._layer = multiplexer
        self.images_per_sequence = multiplexer.images_per_sequence
        self.num_tokens = multiplexer.tokens_per_image * multiplexer.images_per_sequence
        self.kernel = self.bias = self.slots = self.prefix_projection = None
        if (dense := multiplexer.prefix_projection) is not None:
            self.prefix_projection = FusedDense(
                dense.kernel, dense.bias, dtype, "prefix_projection"
            )
        if isinstance(multiplexer.reduction, ConvTokenReduction):
            convolution = multiplexer.reduction.convolution
            self.kernel = weight(convolution.kernel, dtype, "kernel")
            self.bias = weight(convolution.bias, dtype, "bias")
        if multiplexer.slot_embedding is not None:
            slots = multiplexer.slot_embedding.embedding
            self.slots = weight(slots, dtype, "slots")

    def __call__(self, tokens):
        layer, width = self._layer, tokens.shape[-1]
        rows, columns = layer.grid_shape
        num_prefix = layer.num_prefix_tokens
        # (B * L, D) -> (B, L, D)
        tokens = tf.reshape(tokens, (-1, num_prefix + rows * columns, width))
        if layer.reduction is not None:
            reduced = self._reduce(tokens[:, num_prefix:])
            prefix = tokens[:, :num_prefix]
            if self.prefix_projection is not None:
                # (B, prefix, D) -> (B * prefix, D) -> (B, prefix, D')
                prefix = self.prefix_projection(tf.reshape(prefix, (-1, width)))
                width = reduced.shape[-1]
                prefix = tf.reshape(prefix, (-1, num_prefix, width))
            tokens = tf.concat([prefix, reduced], axis=1)
        if self.slots is not None:
            tokens = grouping.group(tokens, layer.images_per_sequence) + self.slots
        return tf.reshape(tokens, (-1, width))

    def _reduce(self, patches):
        reduction, dtype = self._layer.reduction, patches.dtype
        if self.kernel is None:
            return tf.cast(reduction(tf.cast(patches, tf.float32)), dtype)
        grid = reduction.mirrored_grid(patches)
        if reduction.kernel_size == reduction.strides:
            grid = _tiled_product(grid, self.kernel)
        else:
            grid = tf.nn.conv2d(grid, self.kernel, reduction.strides, "SAME")
        grid = tf.nn.bias_add(grid, self.bias)
        # (B, gh', gw', D) -> (B, T, D)
        return tf.reshape(
            grid, (-1, reduction.num_reduced_tokens, self.kernel.shape[-1])
        )


def _tiled_product(grid, kernel):
    """A convolution whose windows tile the grid, as the faster matrix product.

    Returns:
        `(B * gh / kh * gw / kw, D)`.
    """
    height, width, dim, out_dim = kernel.shape
    _, rows, columns, _ = grid.shape
    # (B, gh', kh, gw', kw, D) -> (B, gh', gw', kh, kw, D) -> (B * T, kh * kw * D)
    windows = tf.reshape(
        grid, (-1, rows // height, height, columns // width, width, dim)
    )
    windows = tf.transpose(windows, (0, 1, 3, 2, 4, 5))
    windows = tf.reshape(windows, (-1, height * width * dim))
    return tf.matmul(windows, tf.reshape(kernel, (-1, out_dim)))


class KerasMultiplexer(tf.Module):
    """Any other multiplexer: its Keras layer, in float32."""

    def __init__(self, layer):
        super().__init__(name="multiplexer")
        self._layer = layer
        self.weights = [variable.value for variable in layer.variables]
        self._input_tokens, self.num_tokens = (
            layer.input.shape[1],
            layer.output.shape[1],
        )
        self.images_per_sequence = layer.images_per_sequence

    def __call__(self, tokens):
        width = tokens.shape[-1]
        # (B * L, D) -> (B, L, D)
        inputs = tf.reshape(tokens, (-1, self._input_tokens, width))
        outputs = self._layer(tf.cast(inputs, tf.float32))
        return tf.reshape(tf.cast(outputs, tokens.dtype), (-1, width))


class KerasDemultiplexer(tf.Module):
    """Any demultiplexer but a concatenation's: its Keras layer, in float32."""

    def __init__(self, layer, num_tokens):
        super().__init__(name="demultiplexer")
        self._layer, self._num_tokens = layer, num_tokens
        self.weights = [variable.value for variable in layer.variables]

    def __call__(self, tokens, reference):
        """Returns the tokens of each image, `(batch_size, num_tokens, width)`."""
        inputs = tf.reshape(tokens, (-1, self._num_tokens, tokens.shape[-1]))
        return self._layer(tf.cast(inputs, tf.float32), reference=reference)
