"""Small image sets as arrays, for training on any Keras backend."""

import dataclasses

import numpy as np

from keras_concatplexer.preprocessing import ImagePreprocessor

DIGITS_SIDE = 16


@dataclasses.dataclass(frozen=True)
class Arrays:
    """A data set that is ready for a model.

    Attributes:
        name: str.
        train_images, test_images: float32 `(num_images, height, width, channels)`,
            out of `ImagePreprocessor`.
        train_labels, test_labels: int64 `(num_images,)`.
        num_classes: int.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    num_classes: int

    @property
    def image_shape(self):
        return self.train_images.shape[1:]


def load_digits(data_dir=None):
    """The embedded digits, 16 x 16 x 1, with the split of the training command."""
    return load_tfds("digits", data_dir, side=DIGITS_SIDE)


def load_tfds(name, data_dir=None, side=None):
    """A TFDS set with images of one size and the splits train and test.

    Args:
        name: str.
        data_dir: where TFDS keeps it, prepared; `None`: TFDS' default.
        side: int. Side of the model's images in pixels; `None`: the set's own.
    """
    import tensorflow_datasets as tfds

    import train.digits  # noqa: F401 (registers the embedded dataset)

    builder = tfds.builder(name, data_dir=data_dir)
    builder.download_and_prepare()
    height, _, channels = builder.info.features["image"].shape
    side = side or height
    preprocess = ImagePreprocessor((side, side, channels))
    parts = []
    for split in ("train", "test"):
        dataset = builder.as_dataset(split)
        examples = dataset.batch(len(dataset)).get_single_element()
        parts += [np.asarray(preprocess(examples["image"])), examples["label"].numpy()]
    return Arrays(name, *parts, builder.info.features["label"].num_classes)
