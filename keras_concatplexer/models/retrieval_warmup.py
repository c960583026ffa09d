"""Training a multiplexed model to tell its images apart."""

import keras
from keras import ops

from keras_concatplexer.layers import grouping


def normalized_patches(images, grid_shape):
    """Cuts images into patches, each with mean 0 and variance 1.

    Args:
        images: float tensor `(batch_size, height, width, channels)`.
        grid_shape: pair of ints `(rows, columns)` that divide height and width.

    Returns:
        float32 tensor `(batch_size, rows * columns, values_per_patch)`, row by row.
    """
    _, height, width, channels = images.shape
    rows, columns = grid_shape
    patch_height, patch_width = height // rows, width // columns
    # (B, H, W, C) -> (B, gh, ph, gw, pw, C) -> (B, gh, gw, ph, pw, C) -> (B, P, V)
    patches = ops.reshape(
        ops.cast(images, "float32"),
        (-1, rows, patch_height, columns, patch_width, channels),
    )
    patches = ops.reshape(
        ops.transpose(patches, (0, 1, 3, 2, 4, 5)),
        (-1, rows * columns, patch_height * patch_width * channels),
    )
    mean, variance = ops.moments(patches, axes=-1, keepdims=True)
    return (patches - mean) / ops.sqrt(variance + 1e-6)


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class RetrievalWarmup(keras.Model):
    """Trains a multiplexed ViT to retrieve each image from the mixture.

    The retrieval task of DataMUX (arXiv 2202.09318), for images: at each position
    of each group one slot is drawn, and a linear decoder reconstructs that
    image's normalised patch from its demultiplexed token; the loss is the mean
    squared error, 1 for a decoder that knows nothing. It shares the layers of
    `model`, which can be trained, evaluated and saved by itself afterwards.

    The loss is `(1 - retrieval_weight) * task + retrieval_weight * retrieval`.
    With 1, compile without a loss; labels are not looked at. For the second phase
    set `retrieval_weight` (DataMUX: 0.1) and compile again, or go on with
    `model` alone. The weight is read by `compile`, as its `loss_weights`.

    Args:
        model: `ImageMultiplexerViT` or `ConcatPlexer` without token reduction.
        retrieval_weight: float above 0, at most 1.
        seed: int. For the draws of slots.

    Input and output: those of `model`. Further metric: `retrieval_loss`.

    Raises:
        ValueError: if `model` is not such a model, has reduced its patch tokens,
            or `retrieval_weight` is not as above.

    Example:

    >>> vit = keras_cv_vit("vit_nano4", image_shape=(16, 16, 1), num_classes=10)
    >>> model = ImageMultiplexerViT(vit, num_mux=2)
    >>> warmup = RetrievalWarmup(model)
    >>> warmup.compile("adamw")
    >>> history = warmup.fit(np.zeros((4, 16, 16, 1)), verbose=0)
    >>> warmup.retrieval_weight = 0.1
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> warmup.compile("adamw", loss)
    """

    def __init__(self, model, retrieval_weight=1.0, seed=0, name="retrieval_warmup"):
        super().__init__(name=name)
        self.model = model
        self.retrieval_weight = retrieval_weight
        self.seed = seed

    def get_config(self):
        return {
            "name": self.name,
            "model": keras.saving.serialize_keras_object(self.model),
            "retrieval_weight": self.retrieval_weight,
            "seed": self.seed,
        }
