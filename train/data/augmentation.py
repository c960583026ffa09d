"""Random changes of training images, by Keras' own layers."""

import keras
import numpy as np
import tensorflow as tf

# What the layers see of 0 and 255.
VALUE_RANGE = (-1.0, 1.0)
MAX_DRAWS_PER_STEP = 1_000


class Augmentation:
    """Changes batches so that a step's changes depend on the seed and step alone.

    A run that goes on from an epoch therefore sees the same images as one that was
    never interrupted.

    Args:
        image_shape: `(height, width, channels)` of the preprocessed images.
        seed: int.
        geometry: `"none"`, `"shift"`, `"flip"`, `"flip_shift"` or `"flip_crop"`.
        randaugment: float, RandAugment's magnitude in [0, 1]; 0: none.
        random_erasing: float, share of images with an erased box.
        mixup: float, MixUp's alpha; 0: none.
        cutmix: float, CutMix's alpha; 0: none. With both, they take turns.
        mean: of the images' `ImagePreprocessor`.
        std: of the images' `ImagePreprocessor`.

    Raises:
        ValueError: if RandAugment is asked for other than color images.
    """

    def __init__(
        self,
        image_shape,
        seed=0,
        geometry="none",
        randaugment=0.0,
        random_erasing=0.0,
        mixup=0.0,
        cutmix=0.0,
        mean=0.5,
        std=0.5,
    ):
        # Pixels have no place in a half-precision policy.
        options = {"seed": seed, "dtype": "float32"}
        layers = _geometry(geometry, options)
        if randaugment:
            if image_shape[-1] != 3:
                raise ValueError(
                    "--randaugment changes colors: it needs images of 3 channels. "
                    f"Received: image_shape={image_shape}"
                )
            layers.append(
                keras.layers.RandAugment(VALUE_RANGE, factor=randaugment, **options)
            )
        if random_erasing:
            layers.append(
                keras.layers.RandomErasing(
                    # One number would be the upper end of a range from 0.
                    factor=(random_erasing, random_erasing),
                    value_range=VALUE_RANGE,
                    **options,
                )
            )
        self.seed = seed
        self.mean, self.std = np.asarray(mean, "float32"), np.asarray(std, "float32")
        self.image_layers = layers
        self.mixers = []
        if mixup:
            self.mixers.append(keras.layers.MixUp(mixup, **options))
        if cutmix:
            self.mixers.append(keras.layers.CutMix(cutmix, **options))

    @classmethod
    def of(cls, config, preprocessor):
        """Returns the augmentation of a `Config` for preprocessed images."""
        return cls(
            preprocessor.image_shape,
            config.seed,
            config.augmentation,
            config.randaugment,
            config.random_erasing,
            config.mixup,
            config.cutmix,
            preprocessor.mean,
            preprocessor.std,
        )

    def __bool__(self):
        return bool(self.image_layers or self.mixers)

    def __call__(self, step, images, labels):
        """Changes one batch, in tf.data or outside.

        Args:
            step: integer tensor, the step since the start of the run.
            images: float32 `(batch_size, H, W, C)`.
            labels: float32 `(batch_size, num_classes)`.
        """
        layers = [*self.image_layers, *self.mixers]
        generators = [state for layer in layers for state in layer.variables]
        for index, state in enumerate(generators):
            first_draw = tf.cast(step, tf.uint32) * MAX_DRAWS_PER_STEP
            state.assign(
                tf.stack([tf.constant(self.seed + index, "uint32"), first_draw])
            )
        images = self._changed(images)
        if not self.mixers:
            return images, labels

        def mix(layer):
            mixed = layer({"images": images, "labels": labels}, training=True)
            return mixed["images"], mixed["labels"]

        first, last = self.mixers[0], self.mixers[-1]
        if first is last:
            return mix(first)
        return tf.cond(step % 2 == 0, lambda: mix(first), lambda: mix(last))

    def _changed(self, images):
        standard = np.all(self.mean == 0.5) and np.all(self.std == 0.5)
        if not standard:
            images = 2 * (images * self.std + self.mean) - 1
        for layer in self.image_layers:
            images = layer(images, training=True)
        return images if standard else ((images + 1) / 2 - self.mean) / self.std


def _geometry(name, options):
    layers = {
        "flip": lambda: keras.layers.RandomFlip("horizontal", **options),
        "shift": lambda: keras.layers.RandomTranslation(
            0.1, 0.1, fill_mode="nearest", **options
        ),
        # A crop of the image with a margin, drawn for each image; Keras' RandomCrop
        # draws one for the whole batch.
        "crop": lambda: keras.layers.RandomTranslation(
            1 / 8, 1 / 8, fill_mode="constant", interpolation="nearest", **options
        ),
    }
    return [] if name == "none" else [layers[part]() for part in name.split("_")]
