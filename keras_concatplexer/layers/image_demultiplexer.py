"""The way back from a mixture to one sequence per image."""

import keras

from keras_concatplexer.arguments import one_of, positive_int
from keras_concatplexer.choices import DEMULTIPLEXERS
from keras_concatplexer.layers import grouping
from keras_concatplexer.layers.holographic_binding import HolographicBinding
from keras_concatplexer.layers.slot_conditioned_mlp import SlotConditionedMLP
from keras_concatplexer.layers.slot_heads import SlotHeads


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ImageDemultiplexer(keras.layers.Layer):
    """Reads each slot's image out of the mixture of an `ImageMultiplexer`.

    Args:
        num_mux: int. Images per sequence (N_MUX in ConcatPlexer's paper).
        method: how a slot is read.
            `"index"`: the first `num_mux` tokens, one per slot, are taken off, and
            each token is joined with its slot's one in a shared MLP (DataMUX,
            arXiv 2202.09318); needs a multiplexer with `index_prefix=True`.
            `"key"`: each token is joined with a learned vector per slot in a
            shared MLP (MUX-PLM's RSA demultiplexer, arXiv 2302.12441).
            `"mlp"`: one MLP per slot.
            `"unbind"`: correlation with the slot's key (MIMONets, arXiv
            2312.02829), for a multiplexer with `transform="holographic"`, fixed
            keys and the same `seed`.
        mlp_dim: int or `None`. Width inside the MLP; `None`: `hidden_dim`. Not
            for `"unbind"`.
        seed: int >= 0. For `"unbind"`: the multiplexer's; the keys follow from it.

    Call arguments:
        inputs: `(num_groups, num_tokens, hidden_dim)`, float; for `"index"`
            `num_tokens` counts the index tokens too.
        reference: any tensor with one row per real image; it tells how many
            rows at the end are filler.

    Output shape: `(batch_size, num_tokens, hidden_dim)`, in input order, without
        the index tokens, in the layer's compute dtype.

    Raises:
        ValueError: if an argument is invalid, or there are no tokens behind
            the index tokens.

    Example:

    >>> layer = ImageDemultiplexer(num_mux=2, method="index")
    >>> layer(np.zeros((2, 19, 8)), reference=np.zeros((3,))).shape
    TensorShape([3, 17, 8])
    """

    def __init__(
        self,
        num_mux: int,
        method: str = "index",
        mlp_dim: int | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_mux = positive_int("num_mux", num_mux)
        self.method = one_of("method", method, DEMULTIPLEXERS)
        if mlp_dim is not None:
            positive_int("mlp_dim", mlp_dim)
            if method == "unbind":
                raise ValueError(
                    "`mlp_dim` is an option of the methods with an MLP, and "
                    f"method='unbind' has none. Received: mlp_dim={mlp_dim}"
                )
        self.mlp_dim = mlp_dim
        self.seed = seed

    @property
    def num_index_tokens(self):
        """Tokens in front that belong to the slots, not to the image, an int."""
        return self.num_mux if self.method == "index" else 0

    def build(self, inputs_shape, reference_shape):
        _, length, hidden_dim = inputs_shape
        if length <= self.num_index_tokens:
            raise ValueError(
                f"Expected image tokens behind {self.num_mux} index tokens. Make the "
                "multiplexer with index_prefix=True. "
                f"Received: shape={tuple(inputs_shape)}"
            )
        tokens_shape = (None, length - self.num_index_tokens, hidden_dim)
        dtype = self.dtype_policy
        mlp_dim = hidden_dim if self.mlp_dim is None else self.mlp_dim
        if self.method == "unbind":
            self.unbinding = HolographicBinding(
                self.num_mux,
                inverse=True,
                seed=self.seed,
                dtype=dtype,
                name="unbinding",
            )
            self.unbinding.build((None, 1, *tokens_shape[1:]))
        elif self.method == "mlp":
            self.heads = SlotHeads(self.num_mux, mlp_dim, dtype=dtype, name="heads")
            self.heads.build(tokens_shape)
        else:
            self.mlp = SlotConditionedMLP(mlp_dim, dtype=dtype, name="mlp")
            self.mlp.build(tokens_shape, (None, self.num_mux, hidden_dim))
        if self.method == "key":
            self.keys = self.add_weight(
                shape=(1, self.num_mux, hidden_dim),
                initializer=keras.initializers.RandomNormal(stddev=1.0),
                name="keys",
            )

    def call(self, inputs, reference):
        tokens = inputs[:, self.num_index_tokens :]
        # (G, T, D) -> (G, N, T, D)
        if self.method == "index":
            groups = self.mlp(tokens, inputs[:, : self.num_index_tokens])
        elif self.method == "key":
            groups = self.mlp(tokens, self.keys)
        elif self.method == "mlp":
            groups = self.heads(tokens)
        else:
            groups = self.unbinding(tokens[:, None])
        return grouping.ungroup(groups, reference)

    def compute_output_shape(self, inputs_shape, reference_shape):
        _, length, hidden_dim = inputs_shape
        return reference_shape[0], length - self.num_index_tokens, hidden_dim

    def get_config(self):
        return {
            **super().get_config(),
            "num_mux": self.num_mux,
            "method": self.method,
            "mlp_dim": self.mlp_dim,
            "seed": self.seed,
        }
