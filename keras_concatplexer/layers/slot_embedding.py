"""The learned vector that tells an image's tokens which slot they sit in."""

import keras

from keras_concatplexer.arguments import positive_int


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class SlotEmbedding(keras.layers.Layer):
    """Adds one learned vector per slot to all tokens of the image in that slot.

    The vectors start at zero, so that a wrapped, trained ViT keeps its features
    at the first step. The paper does not say how slots are told apart; this
    embedding is our choice.

    Args:
        num_mux: int. Images per group.

    Input shape: `(num_groups, num_mux, num_tokens, hidden_dim)`, float.
    Output shape: the same.

    Raises:
        ValueError: if `num_mux` is not a positive integer.

    Example:

    >>> SlotEmbedding(num_mux=2)(np.zeros((1, 2, 5, 8))).shape
    TensorShape([1, 2, 5, 8])
    """

    def __init__(self, num_mux, **kwargs):
        super().__init__(**kwargs)
        self.num_mux = positive_int("num_mux", num_mux)

    def build(self, input_shape):
        self.embedding = self.add_weight(
            shape=(self.num_mux, 1, input_shape[-1]),
            initializer="zeros",
            name="embedding",
        )

    def call(self, inputs):
        return inputs + self.embedding

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "num_mux": self.num_mux}
