"""Token reduction by the mean over a window: no weights, no cost."""

import keras
from keras import ops

from keras_concatplexer.layers.token_reduction import TokenReduction


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class MeanTokenReduction(TokenReduction):
    """Replaces each window of `strides` patch tokens by its mean.

    What `ConvTokenReduction` starts as, kept as it is: the plain alternative.

    Args:
        grid_shape: pair of ints `(rows, columns)` of the patch grid.
        strides: int or pair of ints, none larger than the grid. They need not
            divide it: the grid is then mirrored at its far edge.

    Input shape: `(batch_size, rows * columns, hidden_dim)`, float.
    Output shape: `(batch_size, ceil(rows / strides[0]) * ceil(columns /
        strides[1]), hidden_dim)`.

    Raises:
        ValueError: if an argument is invalid.

    Example:

    >>> layer = MeanTokenReduction((4, 4), strides=(2, 2))
    >>> layer(np.zeros((3, 16, 8))).shape
    TensorShape([3, 4, 8])
    """

    def call(self, inputs):
        grid = self.mirrored_grid(inputs)
        hidden_dim = inputs.shape[-1]
        rows, columns = self.strides
        # (B, gh', gw', D) -> (B, gh'/sh, sh, gw'/sw, sw, D)
        windows = ops.reshape(
            grid,
            (-1, grid.shape[1] // rows, rows, grid.shape[2] // columns)
            + (columns, hidden_dim),
        )
        # -> (B, T, D)
        return ops.reshape(
            ops.mean(windows, axis=(2, 4)), (-1, self.num_reduced_tokens, hidden_dim)
        )
