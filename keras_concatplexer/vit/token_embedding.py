"""A patch embedding out of another one's layers and variables."""

import math

import keras
from keras import ops


def placed(parts, num_patches):
    """Adds the positions to what stands in front of the patches.

    There may be fewer positions than tokens: the last of these, registers, have none.

    Args:
        parts: `EmbeddingParts`.
        num_patches: int.

    Returns:
        Two tensors: the prefix tokens `(1, num_prefix_tokens, D)`, or `None`, and the
        patches' positions `(1, num_patches, D)`.
    """
    hidden_dim = parts.positions.shape[-1]
    positions = ops.reshape(parts.positions, (1, -1, hidden_dim))
    num_placed = positions.shape[1] - num_patches
    patches = positions[:, num_placed:]
    if not parts.prefix:
        return None, patches
    prefix = ops.concatenate(
        [ops.reshape(tokens, (1, -1, hidden_dim)) for tokens in parts.prefix], axis=1
    )
    prefix = ops.concatenate(
        [prefix[:, :num_placed] + positions[:, :num_placed], prefix[:, num_placed:]],
        axis=1,
    )
    return prefix, patches


class TokenEmbedding(keras.layers.Layer):
    """Patches, positions and any number of prefix tokens, from a trained embedding.

    The layers and variables are used, not copied. The ViT rebuilds this layer from
    its backbone, so it has no config of its own.

    Args:
        parts: `EmbeddingParts` of a built embedding.
        dropout: layer, tokens -> tokens, or `None`.

    Input shape: `(batch_size, height, width, channels)`, float.
    Output shape: `(batch_size, num_prefix_tokens + P, hidden_dim)`.
    """

    def __init__(self, parts, dropout=None, **kwargs):
        super().__init__(**kwargs)
        self.parts = parts
        # As attributes Keras finds them.
        self.projection, self.norm, self.dropout = parts.projection, parts.norm, dropout
        variables = (*parts.prefix, parts.positions)
        frozen = [variable for variable in variables if not variable.trainable]
        # Keras sorts them by this, and a file's order must not depend on it.
        for variable in frozen:
            variable.trainable = True
        self.prefix, self.positions = parts.prefix, parts.positions
        for variable in frozen:
            variable.trainable = False

    def build(self, images_shape):
        self.built = True

    def call(self, images):
        grid = self.projection(images)
        num_patches, hidden_dim = math.prod(grid.shape[1:3]), grid.shape[-1]
        prefix, positions = placed(self.parts, num_patches)
        # (B, gh, gw, D) -> (B, P, D)
        tokens = ops.reshape(grid, (-1, num_patches, hidden_dim)) + positions
        if prefix is not None:
            prefix = ops.tile(prefix, (ops.shape(images)[0], 1, 1))
            tokens = ops.concatenate([prefix, tokens], axis=1)
        for layer in (self.norm, self.dropout):
            if layer is not None:
                tokens = layer(tokens)
        return tokens

    def compute_output_shape(self, images_shape):
        batch_size, *grid_shape, hidden_dim = self.projection.compute_output_shape(
            images_shape
        )
        num_tokens = math.prod(grid_shape) + self.parts.num_prefix_tokens
        return batch_size, num_tokens, hidden_dim
