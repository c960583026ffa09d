"""Binding by circular convolution, and its inverse."""

import keras
from keras import ops

from keras_concatplexer.arguments import positive_int
from keras_concatplexer.layers import slot_keys


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class HolographicBinding(keras.layers.Layer):
    """Binds the tokens of each slot to that slot's key by circular convolution.

    Holographic reduced representations (Plate, IEEE Transactions on Neural
    Networks 6(3), 1995), as MIMONets (arXiv 2312.02829) uses them. The keys have
    unit norm and, which is our choice, a flat spectrum: they are held as phases,
    so that binding is an orthogonal map, trained or not, and correlation with the
    key is its exact inverse. It is computed as a product of spectra, in float32.

    Args:
        num_mux: int. Images per group.
        inverse: bool. Correlates with the key (unbinds) instead.
        trainable_keys: bool. Whether the keys' phases are trained.
        seed: int >= 0. The keys follow from it.

    Input shape: `(num_groups, num_mux, num_tokens, hidden_dim)`, float; or with 1
        instead of `num_mux`, for the same tokens in each slot.
    Output shape: `(num_groups, num_mux, num_tokens, hidden_dim)`.

    Raises:
        ValueError: if `num_mux` is not positive, or `seed` is negative.

    Example:

    >>> HolographicBinding(num_mux=2)(np.zeros((1, 2, 5, 8))).shape
    TensorShape([1, 2, 5, 8])
    """

    def __init__(self, num_mux, inverse=False, trainable_keys=False, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.num_mux = positive_int("num_mux", num_mux)
        self.inverse = inverse
        self.trainable_keys = trainable_keys
        self.seed = seed

    def build(self, input_shape):
        phases = slot_keys.unitary_phases(self.num_mux, input_shape[-1], self.seed)
        self.phases = self.add_weight(
            shape=(self.num_mux, 1, phases.shape[-1]),
            initializer=slot_keys.initializer(phases),
            dtype="float32",
            autocast=False,
            trainable=self.trainable_keys,
            name="phases",
        )

    def call(self, inputs):
        # (G, N, L, D) -> two of (G, N, L, D // 2 + 1)
        real, imaginary = ops.rfft(ops.cast(inputs, "float32"))
        cosine, sine = ops.cos(self.phases), ops.sin(self.phases)
        if self.inverse:
            sine = -sine
        product = (
            real * cosine - imaginary * sine,
            real * sine + imaginary * cosine,
        )
        bound = ops.irfft(product, fft_length=inputs.shape[-1])
        return ops.cast(bound, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        num_groups, _, num_tokens, hidden_dim = input_shape
        return num_groups, self.num_mux, num_tokens, hidden_dim

    def get_config(self):
        return {
            **super().get_config(),
            "num_mux": self.num_mux,
            "inverse": self.inverse,
            "trainable_keys": self.trainable_keys,
            "seed": self.seed,
        }
