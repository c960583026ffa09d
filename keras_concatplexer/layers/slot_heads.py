"""One MLP per slot."""

import keras
from keras import ops

from keras_concatplexer.arguments import positive_int


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class SlotHeads(keras.layers.Layer):
    """Reads each slot's tokens out of the mixed ones by that slot's own MLP.

    Two layers with tanh GELU per slot; the plain alternative in DataMUX
    (arXiv 2202.09318).

    Args:
        num_mux: int. Images per group.
        mlp_dim: int. Width of the hidden layer of each MLP.

    Input shape: `(num_groups, num_tokens, hidden_dim)`, float.
    Output shape: `(num_groups, num_mux, num_tokens, hidden_dim)`.

    Raises:
        ValueError: if an argument is not a positive integer.

    Example:

    >>> SlotHeads(num_mux=2, mlp_dim=16)(np.zeros((3, 5, 8))).shape
    TensorShape([3, 2, 5, 8])
    """

    def __init__(self, num_mux, mlp_dim, **kwargs):
        super().__init__(**kwargs)
        self.num_mux = positive_int("num_mux", num_mux)
        self.mlp_dim = positive_int("mlp_dim", mlp_dim)

    def build(self, input_shape):
        dtype = self.dtype_policy
        self.expansions = [
            keras.layers.Dense(
                self.mlp_dim,
                activation=ops.gelu,
                dtype=dtype,
                name=f"expansion_{slot}",
            )
            for slot in range(self.num_mux)
        ]
        self.projections = [
            keras.layers.Dense(input_shape[-1], dtype=dtype, name=f"projection_{slot}")
            for slot in range(self.num_mux)
        ]
        for expansion, projection in zip(
            self.expansions, self.projections, strict=True
        ):
            expansion.build(input_shape)
            projection.build((*input_shape[:-1], self.mlp_dim))

    def call(self, inputs):
        slots = [
            projection(expansion(inputs))
            for expansion, projection in zip(
                self.expansions, self.projections, strict=True
            )
        ]
        return ops.stack(slots, axis=1)

    def compute_output_shape(self, input_shape):
        num_groups, num_tokens, hidden_dim = input_shape
        return num_groups, self.num_mux, num_tokens, hidden_dim

    def get_config(self):
        return {
            **super().get_config(),
            "num_mux": self.num_mux,
            "mlp_dim": self.mlp_dim,
        }
