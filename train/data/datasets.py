"""Where the images come from: TFDS, by name, or a folder of image files."""

import dataclasses
import difflib
import functools
import pathlib
import sys

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format

from keras_concatplexer.image_decoding import decode_image

from ..workdir import locked
from . import digits  # noqa: F401 (registers the embedded dataset)
from .folder_check import MAX_BYTES, MAX_PIXELS
from .folder_source import FolderSource, digest
from .folders import usual_split

FOLDER_PREFIX = "folder:"
NUM_LOOKED_AT = 1000
NUM_MEASURED = 100


@dataclasses.dataclass(frozen=True)
class TfdsSource:
    """A prepared dataset of TFDS.

    Attributes:
        builder: the TFDS builder.
    """

    builder: tfds.core.DatasetBuilder

    @property
    def info(self):
        return self.builder.info

    @property
    def class_names(self):
        """Tuple of str; of a dataset without classes, one that holds all images."""
        if _has_classes(self.info.features):
            return tuple(self.info.features["label"].names)
        return ("any",)

    def encoded(self, split, shuffle_seed=None):
        """Examples with encoded images; files in another order for each seed.

        Args:
            split: TFDS split.
            shuffle_seed: int, also as a tensor, or `None` for the fixed order.
        """
        dataset = self.builder.as_dataset(
            split,
            decoders={"image": tfds.decode.SkipDecoding()},
            shuffle_files=shuffle_seed is not None,
            # With fixed settings the order depends on the seed alone.
            read_config=tfds.ReadConfig(
                shuffle_seed=shuffle_seed, interleave_cycle_length=16
            ),
        )
        if _has_classes(self.info.features):
            return dataset
        return dataset.map(lambda example: {"image": example["image"], "label": 0})

    @functools.cached_property
    def usual_side(self):
        """The usual shorter side of the images, of the first hundred."""
        height, width, _ = self.info.features["image"].shape
        if height and width:
            return min(height, width)
        split = usual_split(self.info.splits, "train") or next(iter(self.info.splits))
        sides = [
            min(decode_image(example["image"], MAX_PIXELS, MAX_BYTES).shape[:2])
            for example in self.encoded(split).take(NUM_MEASURED)
        ]
        return int(np.median(sides))

    def check_labels(self, split):
        """Looks at the labels of a split's first images.

        Raises:
            ValueError: if one is of no class, as -1 of images without a label.
        """
        num_classes = self.info.features["label"].num_classes
        for example in self.encoded(split).take(NUM_LOOKED_AT):
            label = int(example["label"])
            if not 0 <= label < num_classes:
                raise ValueError(
                    f"The split {split} of {self.builder.name} has images without a "
                    f"class: a label is {label}, expected 0 to {num_classes - 1}. "
                    "Give another --train_split, --validation_split or --test_split."
                )

    def some_of(self, split):
        """Returns a dict that tells images of a split: all of them, by its name."""
        return {"split": split}

    def fingerprint(self, split):
        """Returns a str that another list of record files would change."""
        files = self.info.splits[split].file_instructions
        return digest(f"{file.filename} {file.skip} {file.take}" for file in files)

    def damaged_files(self):
        """Returns the paths of the record files that do not hold what they should."""
        damaged = []
        for split in self.info.splits.values():
            for path, length in zip(split.filepaths, split.shard_lengths, strict=True):
                try:
                    records = tf.data.TFRecordDataset(path)
                    is_whole = sum(1 for _ in records) == length
                except tf.errors.OpError:
                    is_whole = False
                if not is_whole:
                    damaged.append(str(path))
        return damaged


def open_source(name, data_dir=None, skip_bad=False, min_classes=2):
    """Prepares a dataset.

    Args:
        name: `digits`, the name of a TFDS dataset, or `folder:PATH`.
        data_dir: where TFDS keeps data; `None`: its own default.
        skip_bad: bool. Whether a folder's images that cannot be decoded are left
            out, or are an error.
        min_classes: int. The least number of classes: 1 where nobody looks at them.

    Raises:
        ValueError: if it is unknown, cannot be prepared, or is not image
            classification.
    """
    if name in ("", FOLDER_PREFIX):
        raise ValueError(
            f"--dataset={name} names no data: expected `digits`, the name of a TFDS "
            f"dataset or `{FOLDER_PREFIX}PATH`."
        )
    if name.startswith(FOLDER_PREFIX):
        return FolderSource(name.removeprefix(FOLDER_PREFIX), skip_bad, min_classes)
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        close = difflib.get_close_matches(name, tfds.list_builders(), n=3)
        hint = f" Did you mean {', '.join(close)}?" if close else ""
        raise ValueError(
            f"Unknown dataset {name!r}: expected `digits`, the name of a TFDS "
            f"dataset or `{FOLDER_PREFIX}PATH`.{hint}"
        ) from error
    except (RuntimeError, ValueError, json_format.ParseError) as error:
        raise ValueError(
            f"The dataset {name} in {data_dir or 'the default folder of TFDS'} cannot "
            "be opened; its dataset_info.json may be damaged: "
            f"{str(error).strip().splitlines()[0]}. Prepare it again."
        ) from error
    _check_features(builder, min_classes)
    if not builder.is_prepared():
        if not sys.stderr.isatty():
            # A log would hold the cursor's movements.
            tfds.disable_progress_bar()
        try:
            # Two preparations at once write the same temporary files.
            with locked(
                pathlib.Path(builder.data_dir).parents[1] / f".{builder.name}.lock"
            ):
                builder.download_and_prepare()
        except ModuleNotFoundError as error:
            raise ValueError(
                f"--dataset={name} needs the package {error.name}, which is not "
                "installed: pip install 'keras-concatplexer[train]'."
            ) from error
        except (OSError, AssertionError) as error:
            raise ValueError(
                f"The dataset {name} cannot be prepared in {builder.data_dir}: "
                f"{error}. Prepare it with TFDS and give its folder as --data_dir."
            ) from error
        builder = tfds.builder(name, data_dir=data_dir)
    return TfdsSource(builder)


def _check_features(builder, min_classes):
    features = builder.info.features
    try:
        image = features["image"]
    except (KeyError, TypeError):
        image = None
    needs_classes = min_classes > 1
    if not isinstance(image, tfds.features.Image) or (
        needs_classes and not _has_classes(features)
    ):
        raise ValueError(
            f"The dataset {builder.name} is not image classification: expected the "
            f"features `image` and `label` (a class). It has: {features!r}"
        )
    if image.np_dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"The images of {builder.name} are of {np.dtype(image.np_dtype)}. Expected "
            "uint8, or uint16, of which the higher 8 bits are taken."
        )
    if needs_classes and features["label"].num_classes < min_classes:
        raise ValueError(
            f"The dataset {builder.name} has 1 class: there is nothing to tell apart."
        )


def _has_classes(features):
    return "label" in features and isinstance(
        features["label"], tfds.features.ClassLabel
    )
