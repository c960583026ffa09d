"""Training a multiplexed model to tell its images apart."""

import math

import keras
from keras import ops

from keras_concatplexer.layers import grouping
from keras_concatplexer.models.multiplexed_vit import MultiplexedViT


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
            or `retrieval_weight` is out of its range.

    Example:

    >>> vit = keras_cv_vit("vit_nano4", image_shape=(16, 16, 1), num_classes=10)
    >>> model = ImageMultiplexerViT(vit, num_mux=2)
    >>> warmup = RetrievalWarmup(model)
    >>> warmup.compile("adamw")
    >>> # warmup.fit(images), and then the second phase:
    >>> warmup.retrieval_weight = 0.1
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> warmup.compile("adamw", loss)
    >>> # warmup.fit(images, labels)
    >>> warmup(np.zeros((4, 16, 16, 1))).shape
    TensorShape([4, 10])
    """

    def __init__(
        self,
        model: keras.Model,
        retrieval_weight: float = 1.0,
        seed: int = 0,
        name: str | None = "retrieval_warmup",
    ):
        super().__init__(name=name)
        if not isinstance(model, MultiplexedViT):
            raise ValueError(
                "`model` must be a multiplexed ViT, such as an `ImageMultiplexerViT`. "
                f"Received: {model!r} of type {type(model).__name__}"
            )
        if not 0 < retrieval_weight <= 1:
            raise ValueError(
                "`retrieval_weight` must be above 0 and at most 1. Received: "
                f"retrieval_weight={retrieval_weight!r}"
            )
        stages = model.stages
        demultiplexed = model.get_layer("demultiplexer").output
        num_tokens = stages.num_prefix_tokens + math.prod(stages.grid_shape)
        if demultiplexed.shape[1] != num_tokens:
            raise ValueError(
                "`model` must keep a token per patch, or there is no patch to "
                f"retrieve from a token. Expected {num_tokens} tokens per image. "
                f"Received: {demultiplexed.shape[1]}"
            )
        self.model = model
        self.retrieval_weight = retrieval_weight
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.retrieval_loss = keras.metrics.Mean(name="retrieval_loss")
        # The head is float32 in every ViT, and so is this one.
        self.decoder = keras.layers.Dense(
            math.prod(stages.image_shape) // math.prod(stages.grid_shape),
            dtype="float32",
            name="decoder",
        )
        self.decoder.build((None, None, demultiplexed.shape[-1]))
        self.built = True
        # Kept out of Keras' tracking: its layers are those of `model`.
        object.__setattr__(
            self, "_graph", keras.Model(model.inputs, [model.output, demultiplexed])
        )

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """As `keras.Model.compile`; `loss_weights` follow from the weight."""
        if loss is not None:
            kwargs.setdefault("loss_weights", [1 - self.retrieval_weight])
        super().compile(optimizer, loss, **kwargs)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def call(self, images, training=None):
        logits, tokens = self._graph(images, training=training)
        retrieval_loss = self._compute_retrieval_loss(images, tokens)
        self.retrieval_loss.update_state(retrieval_loss)
        self.add_loss(self.retrieval_weight * retrieval_loss)
        return logits

    def _compute_retrieval_loss(self, images, tokens):
        stages, num_mux = self.model.stages, self.model.num_mux
        # (B, P, D) and (B, P, V) -> (G, N, P, D) and (G, N, P, V)
        tokens = grouping.group(tokens[:, stages.num_prefix_tokens :], num_mux)
        patches = grouping.group(normalized_patches(images, stages.grid_shape), num_mux)
        slots = keras.random.randint(
            (ops.shape(tokens)[0], 1, math.prod(stages.grid_shape), 1),
            0,
            num_mux,
            seed=self.seed_generator,
        )
        decoded = self.decoder(ops.take_along_axis(tokens, slots, axis=1))
        target = ops.take_along_axis(patches, slots, axis=1)
        return ops.mean(ops.square(decoded - target))

    def get_config(self):
        model = keras.saving.serialize_keras_object(self.model)
        model.pop("compile_config", None)
        return {
            "name": self.name,
            "model": model,
            "retrieval_weight": self.retrieval_weight,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = keras.saving.deserialize_keras_object(
            config["model"], custom_objects=custom_objects
        )
        return cls(**{**config, "model": model})
