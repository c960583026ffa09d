"""Small image sets as arrays, for training on any Keras backend.

`python -m benchmarks.accuracy.arrays --dataset=cifar10 --out=cifar10.npz` writes one
file from which they load without TensorFlow.
"""

import dataclasses
import pathlib

import numpy as np
from absl import app, flags

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


@dataclasses.dataclass(frozen=True)
class RawArrays:
    """A data set as it is stored; a file holds just these.

    Attributes: as of `Arrays`, but images are uint8, of any side, and `side` is the
        one in pixels that models are to see.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    num_classes: int
    side: int

    def prepare(self):
        """Returns `Arrays`."""
        preprocess = ImagePreprocessor(
            (self.side, self.side, self.train_images.shape[-1])
        )
        return Arrays(
            self.name,
            np.asarray(preprocess(self.train_images)),
            self.train_labels,
            np.asarray(preprocess(self.test_images)),
            self.test_labels,
            self.num_classes,
        )


def load(dataset, data_dir=None, num_train=0, num_test=0):
    """Loads a data set by the name that a command is given.

    Args:
        dataset: `"digits"`, the name of a TFDS set, or the path of an `.npz` file
            of `save_npz`.
        data_dir: where TFDS keeps its sets, prepared; `None`: TFDS' default.
        num_train: int. How many of the first training images; 0: all.
        num_test: int. How many of the first test images; 0: all.

    Raises:
        ValueError: if a file is not there or not such a file, or if there are not
            so many images.
    """
    if pathlib.Path(dataset).suffix == ".npz":
        raw = read_npz(dataset)
    else:
        raw = read_tfds(dataset, data_dir)
    for split, wanted in (("train", num_train), ("test", num_test)):
        images = getattr(raw, f"{split}_images")
        if wanted > len(images):
            raise ValueError(
                f"{wanted} {split} images wanted, but {dataset} has {len(images)}."
            )
        if wanted:
            labels = getattr(raw, f"{split}_labels")
            first = {
                f"{split}_images": images[:wanted],
                f"{split}_labels": labels[:wanted],
            }
            raw = dataclasses.replace(raw, **first)
    return raw.prepare()


def load_digits(data_dir=None):
    """The embedded digits, 16 x 16 x 1, with the split of the training command."""
    return load("digits", data_dir)


def read_tfds(name, data_dir=None):
    """A TFDS set with images of one size and the splits train and test, raw.

    Args:
        name: str.
        data_dir: where TFDS keeps it, prepared; `None`: TFDS' default.
    """
    import tensorflow_datasets as tfds

    import train.data.digits  # noqa: F401 (registers the embedded dataset)

    builder = tfds.builder(name, data_dir=data_dir)
    builder.download_and_prepare()
    parts = []
    for split in ("train", "test"):
        dataset = builder.as_dataset(split)
        examples = dataset.batch(len(dataset)).get_single_element()
        parts += [examples["image"].numpy(), examples["label"].numpy()]
    side = DIGITS_SIDE if name == "digits" else parts[0].shape[1]
    return RawArrays(name, *parts, builder.info.features["label"].num_classes, side)


def save_npz(path, raw):
    """Writes `RawArrays` to a file for `read_npz`."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **vars(raw))


def read_npz(path):
    """Reads `RawArrays` from a file of `save_npz`.

    Raises:
        ValueError: if there is no such file, or parts of it are missing.
    """
    if not pathlib.Path(path).is_file():
        raise ValueError(
            f"There is no file {path}. `python -m benchmarks.accuracy.arrays` "
            "writes one."
        )
    expected = {field.name for field in dataclasses.fields(RawArrays)}
    with np.load(path) as stored:
        if missing := expected - set(stored):
            raise ValueError(
                f"{path} lacks {', '.join(sorted(missing))}. Expected a file that "
                "`python -m benchmarks.accuracy.arrays` wrote."
            )
        values = {name: stored[name] for name in expected}
    # NumPy wraps what is no array.
    return RawArrays(
        **{
            name: value if value.ndim else value.item()
            for name, value in values.items()
        }
    )


def main(argv):
    """Writes the file that the flags ask for."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    values = flags.FLAGS
    save_npz(values.out, read_tfds(values.dataset, values.data_dir))


if __name__ == "__main__":
    flags.DEFINE_string("dataset", "digits", "Name of a TFDS set.")
    flags.DEFINE_string("data_dir", None, "Where TFDS keeps it, prepared.")
    flags.DEFINE_string("out", None, "The .npz file to write.", required=True)
    app.run(main)
