"""A folder of image files as a source of examples."""

import dataclasses
import hashlib
import os
import random

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from .folder_check import check_files, image_sizes
from .folders import read_folder
from .splits import ranges

# Of the files of a training, told to the exporter for a calibration.
NUM_TOLD = 2048


@dataclasses.dataclass(frozen=True)
class FolderInfo:
    """What `tfds.core.DatasetInfo` tells of a dataset, of a folder."""

    features: tfds.features.FeaturesDict
    splits: tfds.core.SplitDict


class FolderSource:
    """Image files of a folder, each of which can be decoded.

    Args:
        root: path of the folder; see `read_folder`.
        skip_bad: bool. Whether files that cannot be decoded are left out, or are an
            error.
        min_classes: int, as of `read_folder`.

    Raises:
        ValueError: as `read_folder` and `check_files`.
    """

    def __init__(self, root, skip_bad=False, min_classes=2):
        self.folder, sizes = check_files(read_folder(root, min_classes), skip_bad)
        self.usual_side = int(np.median([min(size) for size in sizes.values()]))
        self.class_names = self.folder.class_names
        self.largest = max(height * width for height, width in sizes.values())
        self.info = FolderInfo(
            tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(names=list(self.class_names)),
                }
            ),
            tfds.core.SplitDict(
                [
                    tfds.core.SplitInfo(
                        name=split, shard_lengths=[len(files)], num_bytes=0
                    )
                    for split, files in self.folder.files.items()
                ]
            ),
        )

    def encoded(self, split, shuffle_seed=None):
        """As `TfdsSource.encoded`; the caller's buffer shuffles the files."""
        files = self._files(split)
        dataset = tf.data.Dataset.from_tensor_slices(
            ([os.fsencode(path) for path, _ in files], [label for _, label in files])
        )
        if shuffle_seed is not None:
            dataset = dataset.shuffle(len(files), seed=shuffle_seed)
        return dataset.map(
            lambda path, label: {"image": tf.io.read_file(path), "label": label},
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    def some_of(self, split):
        """Returns a dict that tells images of a split: a part of its files."""
        files = self._files(split)
        chosen = random.Random(0).sample(files, min(NUM_TOLD, len(files)))
        return {
            "files": [str(path.relative_to(self.folder.root)) for path, _ in chosen]
        }

    def fingerprint(self, split):
        """Returns a str that other names or sizes of image files would change."""
        return digest(
            f"{self.folder.name_of(path)} {path.stat().st_size}"
            for path, _ in self._files(split)
        )

    def _files(self, split):
        return [
            file
            for name, start, stop in ranges(self.info.splits, split)
            for file in self.folder.part(name, start, stop)
        ]

    def damaged_files(self):
        """Returns the paths of the files that cannot be decoded any more."""
        paths = [path for files in self.folder.files.values() for path, _ in files]
        return [str(path) for path in image_sizes(paths)[1]]


def digest(lines):
    """Returns a str that other lines would change."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
