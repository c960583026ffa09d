"""The learned vector that tells an image's tokens which slot they sit in."""

import keras
from keras import ops

from keras_concatplexer.arguments import positive_int


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class SlotEmbedding(keras.layers.Layer):
    """Adds one learned vector per slot to all tokens of the image in that slot.

    The vectors start at zero, so that a wrapped, trained ViT keeps its features
    at the first step. The paper does not say how slots are told apart; this
    embedding is our choice.

    Args:
        num_mux: int. Images per group.
        shuffle: bool. In training, every group draws at each step which of its
            images gets which vector, all orders alike. Attention does not know
            the order of its tokens, so that this is the same as shuffling the
            group. In inference slot i has vector i, with it or without.
        seed: int or `None`. Of the draws.

    Input shape: `(num_groups, num_mux, num_tokens, hidden_dim)`, float.
    Output shape: the same.

    Raises:
        ValueError: if `num_mux` is not a positive integer.

    Example:

    >>> SlotEmbedding(num_mux=2)(np.zeros((1, 2, 5, 8))).shape
    TensorShape([1, 2, 5, 8])
    """

    def __init__(
        self, num_mux: int, shuffle: bool = False, seed: int | None = None, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_mux = positive_int("num_mux", num_mux)
        self.shuffle = shuffle
        self.seed = seed
        # Its state is a weight: none without a use for it.
        if shuffle:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        self.embedding = self.add_weight(
            shape=(self.num_mux, 1, input_shape[-1]),
            initializer="zeros",
            name="embedding",
        )

    def call(self, inputs, training=False):
        if not (self.shuffle and training):
            return inputs + self.embedding
        # Random numbers, sorted, give a random order: (G, N)
        numbers = keras.random.uniform(
            (ops.shape(inputs)[0], self.num_mux), seed=self.seed_generator
        )
        orders = ops.argsort(numbers, axis=-1)
        # (N, 1, D) -> (G, N, 1, D)
        return inputs + ops.take(self.embedding, orders, axis=0)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "num_mux": self.num_mux,
            "shuffle": self.shuffle,
            "seed": self.seed,
        }
