"""ImageMultiplexerViT: the mixture of several images in the sequence of one."""

import keras

from keras_concatplexer.layers import ImageDemultiplexer, ImageMultiplexer
from keras_concatplexer.models.multiplexed_vit import MultiplexedViT


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ImageMultiplexerViT(MultiplexedViT):
    """A ViT classifier whose backbone runs on the mixture of `num_mux` images.

    The Image Multiplexer, the baseline of ConcatPlexer (arXiv 2308.11199) after
    DataMUX (arXiv 2202.09318). A transform per slot tells the images apart, their
    scaled sum goes through the backbone, a demultiplexer reads each image out.
    An answer depends on the neighbours in the batch. DataMUX trains on retrieval
    first, see `RetrievalWarmup`.

    Args:
        vit: ViT classifier, for example of `vit.keras_cv_vit`. Its layers are
            used, not copied.
        num_mux: int. Images per sequence (N_MUX in the paper).
        patchifier_depth: int. Blocks that see each image alone.
        transform: `"gaussian_hadamard"`, `"binary_hadamard"`,
            `"random_orthogonal"`, `"low_rank_orthogonal"`, `"contextual"` or
            `"holographic"`; see `layers.ImageMultiplexer`.
        demultiplexer: `"index"`, `"key"`, `"mlp"` or, with `"holographic"` and
            fixed keys, `"unbind"`; see `layers.ImageDemultiplexer`.
        trainable_keys: bool. Whether the transform's vectors, matrices or keys
            are trained; not with `"unbind"`.
        overlap: float from 0 to 1. For `"binary_hadamard"`: the share of the next
            slot's features that a slot keeps too.
        num_heads: int or `None`. For `"contextual"`: attention heads.
        mlp_dim: int or `None`. Width inside the demultiplexer's MLP; `None`: the
            ViT's width. Not for `"unbind"`.
        seed: int >= 0. The fixed vectors, matrices or keys follow from it.

    Input: float images `(batch_size, height, width, channels)`, any `batch_size`
        >= 1, preprocessed as the ViT expects.
    Output: float32 logits `(batch_size, num_classes)`, in input order.

    Raises:
        ValueError: if an argument is invalid, or transform and demultiplexer
            do not fit together.

    Example:

    >>> vit = keras_cv_vit("vit_nano4", image_shape=(16, 16, 1), num_classes=10)
    >>> model = ImageMultiplexerViT(vit, num_mux=2)
    >>> model(np.zeros((5, 16, 16, 1))).shape
    TensorShape([5, 10])
    """

    def __init__(
        self,
        vit: keras.Model,
        num_mux: int,
        patchifier_depth: int = 0,
        transform: str = "gaussian_hadamard",
        demultiplexer: str = "index",
        trainable_keys: bool = False,
        overlap: float = 0.0,
        num_heads: int | None = None,
        mlp_dim: int | None = None,
        seed: int = 0,
        name: str | None = "image_multiplexer_vit",
    ):
        if demultiplexer == "unbind" and (transform != "holographic" or trainable_keys):
            raise ValueError(
                "demultiplexer='unbind' correlates with the fixed keys of "
                "transform='holographic'. Use that with trainable_keys=False, or "
                f"another demultiplexer. Received: transform={transform!r}, "
                f"trainable_keys={trainable_keys!r}"
            )

        def make_pair(stages, behind):
            return (
                ImageMultiplexer(
                    num_mux,
                    transform,
                    trainable_keys,
                    overlap,
                    num_heads,
                    index_prefix=demultiplexer == "index",
                    seed=seed,
                    dtype=stages.dtype_policy,
                    name="multiplexer",
                ),
                ImageDemultiplexer(
                    num_mux,
                    demultiplexer,
                    mlp_dim,
                    seed=seed,
                    dtype=stages.dtype_policy,
                    name="demultiplexer",
                ),
            )

        super().__init__(vit, num_mux, make_pair, patchifier_depth, name=name)
        self.transform = transform
        self.demultiplexer = demultiplexer
        self.trainable_keys = trainable_keys
        self.overlap = overlap
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.seed = seed

    def get_config(self):
        return {
            **super().get_config(),
            "transform": self.transform,
            "demultiplexer": self.demultiplexer,
            "trainable_keys": self.trainable_keys,
            "overlap": self.overlap,
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "seed": self.seed,
        }
