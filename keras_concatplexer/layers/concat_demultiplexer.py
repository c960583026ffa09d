"""The way back from a group's sequence to one sequence per image."""

import keras
from keras import ops

from keras_concatplexer.arguments import positive_int
from keras_concatplexer.layers import grouping


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ConcatDemultiplexer(keras.layers.Layer):
    """Splits a group's sequence back into one sequence per image.

    The inverse of the concatenation in ConcatPlexer (arXiv 2308.11199).

    Args:
        images_per_sequence: int.

    Call arguments:
        inputs: `(num_groups, images_per_sequence * num_tokens, hidden_dim)`, float.
        reference: any tensor with one row per real image; it tells how many
            rows at the end are filler.

    Output shape: `(batch_size, num_tokens, hidden_dim)`, in input order.

    Raises:
        ValueError: if `images_per_sequence` is not a positive integer, or does not
            divide the length of the sequence.

    Example:

    >>> layer = ConcatDemultiplexer(images_per_sequence=2)
    >>> layer(np.zeros((2, 18, 8)), reference=np.zeros((3,))).shape
    TensorShape([3, 9, 8])
    """

    def __init__(self, images_per_sequence: int, **kwargs):
        super().__init__(**kwargs)
        self.images_per_sequence = positive_int(
            "images_per_sequence", images_per_sequence
        )

    def build(self, inputs_shape, reference_shape):
        if inputs_shape[1] % self.images_per_sequence:
            raise ValueError(
                f"The sequence must hold {self.images_per_sequence} images of equal "
                f"length. Received: shape={tuple(inputs_shape)}"
            )

    def call(self, inputs, reference):
        if self.images_per_sequence == 1:
            return inputs
        _, length, hidden_dim = inputs.shape
        # (G, N * T, D) -> (G, N, T, D) -> (B, T, D)
        groups = ops.reshape(
            inputs,
            (
                -1,
                self.images_per_sequence,
                length // self.images_per_sequence,
                hidden_dim,
            ),
        )
        return grouping.ungroup(groups, reference)

    def compute_output_shape(self, inputs_shape, reference_shape):
        _, length, hidden_dim = inputs_shape
        return reference_shape[0], length // self.images_per_sequence, hidden_dim

    def get_config(self):
        return {**super().get_config(), "images_per_sequence": self.images_per_sequence}
