"""Image classification data of TFDS as batches for a model."""

import dataclasses
import difflib

import tensorflow as tf
import tensorflow_datasets as tfds

import train.digits  # noqa: F401 (registers the embedded dataset)
from keras_concatplexer.preprocessing import ImagePreprocessor
from keras_concatplexer.vit import SIZES
from train.augmentation import augmentation

VARYING_IMAGE_SIZE = 224
MIN_PATCHES_PER_SIDE = 4
SHUFFLE_BUFFER = 50_000


@dataclasses.dataclass(frozen=True)
class Data:
    """Prepared data and how a model must see it.

    Attributes:
        builder: the TFDS builder.
        preprocessor: `ImagePreprocessor` for the model's image shape.
        class_names: tuple of str.
        splits: dict with keys `train`, `validation`, `test` -> TFDS split.
    """

    builder: tfds.core.DatasetBuilder
    preprocessor: ImagePreprocessor
    class_names: tuple
    splits: dict

    def num_images(self, part):
        """Number of images in `"train"`, `"validation"` or `"test"`."""
        return self.builder.info.splits[self.splits[part]].num_examples

    def batches(self, part, batch_size):
        """Every image of a part once, in a fixed order: (images, labels)."""
        dataset = self._encoded(self.splits[part])
        return self._batched(dataset, batch_size).prefetch(tf.data.AUTOTUNE)

    def training_batches(self, batch_size, seed, augment="none"):
        """Shuffled, augmented full batches of the training part."""
        dataset = self._encoded(self.splits["train"], shuffle_seed=seed)
        buffer = min(self.num_images("train"), SHUFFLE_BUFFER)
        # Encoded images are small: they are shuffled first and decoded after.
        dataset = dataset.shuffle(buffer, seed=seed)
        dataset = self._batched(dataset, batch_size, drop_remainder=True)
        augment_images = augmentation(augment, seed)
        if augment_images is not None:
            # One batch at a time: the layers' seeds advance with each call.
            dataset = dataset.map(
                lambda images, labels: (augment_images(images, training=True), labels)
            )
        return dataset.prefetch(tf.data.AUTOTUNE)

    def _encoded(self, split, shuffle_seed=None):
        return self.builder.as_dataset(
            split,
            decoders={"image": tfds.decode.SkipDecoding()},
            shuffle_files=shuffle_seed is not None,
            read_config=tfds.ReadConfig(
                shuffle_seed=shuffle_seed, interleave_cycle_length=16
            ),
        )

    def _batched(self, dataset, batch_size, drop_remainder=False):
        feature = self.builder.info.features["image"]

        def decode(example):
            return feature.decode_example(example["image"]), example["label"]

        def preprocess(images, labels):
            return self.preprocessor(images), labels

        calls = tf.data.AUTOTUNE
        dataset = dataset.map(decode, num_parallel_calls=calls)
        if None in feature.shape:
            dataset = dataset.map(preprocess, num_parallel_calls=calls)
            return dataset.batch(batch_size, drop_remainder=drop_remainder)
        dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
        return dataset.map(preprocess, num_parallel_calls=calls)


def load_data(config):
    """Prepares the dataset of a `Config`.

    Raises:
        ValueError: for an unknown dataset or split, or one that is not image
            classification.
    """
    builder = _builder(config.dataset, config.data_dir or None)
    builder.download_and_prepare()
    image, label = _features(builder)
    splits = {
        "train": config.train_split,
        "validation": config.validation_split,
        "test": config.test_split
        or ("test" if "test" in builder.info.splits else "validation"),
    }
    for split in splits.values():
        try:
            empty = builder.info.splits[split].num_examples == 0
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"The dataset {config.dataset} has no split {split!r}. It has: "
                f"{', '.join(builder.info.splits)}. Set --train_split, "
                "--validation_split, --test_split."
            ) from error
        if empty:
            raise ValueError(f"The split {split!r} of {config.dataset} is empty.")
    channels = image.shape[-1] or 3
    side = config.image_size or _default_image_size(image.shape, config.size)
    return Data(
        builder,
        ImagePreprocessor((side, side, channels)),
        tuple(label.names),
        splits,
    )


def _builder(name, data_dir):
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        close = difflib.get_close_matches(name, tfds.list_builders(), n=3)
        hint = f" Did you mean {', '.join(close)}?" if close else ""
        raise ValueError(
            f"Unknown dataset {name!r}: expected `digits` or the name of a TFDS "
            f"dataset.{hint}"
        ) from error


def _features(builder):
    features = builder.info.features
    try:
        image, label = features["image"], features["label"]
    except (KeyError, TypeError):
        image = label = None
    if not isinstance(image, tfds.features.Image) or not isinstance(
        label, tfds.features.ClassLabel
    ):
        raise ValueError(
            f"The dataset {builder.name} is not image classification: expected the "
            f"features `image` and `label` (a class). It has: {features!r}"
        )
    return image, label


def _default_image_size(shape, size):
    if None in shape[:2]:
        return VARYING_IMAGE_SIZE
    return max(shape[0], MIN_PATCHES_PER_SIDE * SIZES[size].patch_size)
