"""Where the images come from: TFDS, by name, or a folder of image files."""

import dataclasses
import difflib
import hashlib
import pathlib

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format

import train.data.digits  # noqa: F401 (registers the embedded dataset)
from train.workdir import locked

FOLDER_PREFIX = "folder:"
ORDER_SEED = 0


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

    def encoded(self, split, shuffle_seed=None):
        """Examples with encoded images; files in another order for each seed.

        Args:
            split: TFDS split.
            shuffle_seed: int, also as a tensor, or `None` for the fixed order.
        """
        return self.builder.as_dataset(
            split,
            decoders={"image": tfds.decode.SkipDecoding()},
            shuffle_files=shuffle_seed is not None,
            # With fixed settings the order depends on the seed alone.
            read_config=tfds.ReadConfig(
                shuffle_seed=shuffle_seed, interleave_cycle_length=16
            ),
        )

    def fingerprint(self, split):
        """Returns a str that another list of record files would change."""
        files = self.info.splits[split].file_instructions
        return _digest(f"{file.filename} {file.skip} {file.take}" for file in files)

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


class FolderSource:
    """Image files in `root/<split>/<class>/`, as `tfds.ImageFolder` reads them.

    Unlike there, splits can be sliced, and the order is the same everywhere.

    Args:
        root: path of the folder.

    Raises:
        ValueError: if there are no images.
    """

    def __init__(self, root):
        root = pathlib.Path(root).expanduser()
        if not root.is_dir():
            raise ValueError(f"--dataset={FOLDER_PREFIX}{root}: no such folder.")
        self.builder = tfds.ImageFolder(str(root))
        self.info, self.root = self.builder.info, root
        if not self.info.splits:
            raise ValueError(
                f"{root} holds no images. Expected {root}/<split>/<class>/<image>, "
                "such as train/cat/1.png."
            )

    def encoded(self, split, shuffle_seed=None):
        """As `TfdsSource.encoded`; the caller's buffer shuffles the files."""
        parts = [self._files(part) for part in self._ranges(split)]
        paths, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        dataset = tf.data.Dataset.from_tensor_slices((paths, labels))
        if shuffle_seed is not None:
            dataset = dataset.shuffle(len(paths), seed=shuffle_seed)
        return dataset.map(
            lambda path, label: {"image": tf.io.read_file(path), "label": label},
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    def fingerprint(self, split):
        """Returns a str that another list of image files would change."""
        paths = [path for part in self._ranges(split) for path in self._files(part)[0]]
        return _digest(str(pathlib.Path(path).relative_to(self.root)) for path in paths)

    def damaged_files(self):
        """Returns nothing: image files are checked before a run."""
        return []

    def _ranges(self, split):
        return tfds.core.ReadInstruction.from_spec(split).to_absolute(
            dict(self.info.splits)
        )

    def _files(self, part):
        names = self.info.features["label"].names
        files = [
            (str(path), label)
            for label, name in enumerate(names)
            for path in sorted((self.root / part.splitname / name).glob("*"))
            if path.suffix.lower() in (".jpg", ".jpeg", ".png")
        ]
        # A slice of a split should have images of all classes.
        order = np.random.default_rng(ORDER_SEED).permutation(len(files))
        order = order[part.from_ : part.to]
        paths = np.array([files[index][0] for index in order], object)
        return paths, np.array([files[index][1] for index in order], np.int64)


def _digest(lines):
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def open_source(name, data_dir=None):
    """Prepares a dataset.

    Args:
        name: `digits`, the name of a TFDS dataset, or `folder:PATH`.
        data_dir: where TFDS keeps data; `None`: its own default.

    Raises:
        ValueError: if it is unknown, cannot be prepared, or is not image
            classification.
    """
    if name.startswith(FOLDER_PREFIX):
        return FolderSource(name.removeprefix(FOLDER_PREFIX))
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
    _check_features(builder)
    if not builder.is_prepared():
        try:
            # Two preparations at once write the same temporary files.
            with locked(
                pathlib.Path(builder.data_dir).parents[1] / f".{builder.name}.lock"
            ):
                builder.download_and_prepare()
        except ModuleNotFoundError as error:
            raise ValueError(
                f"--dataset={name} needs the package {error.name}, which is not "
                "installed: pip install -e '.[train]'."
            ) from error
        except (OSError, AssertionError) as error:
            raise ValueError(
                f"The dataset {name} cannot be prepared in {builder.data_dir}: "
                f"{error}. Prepare it with TFDS and give its folder as --data_dir."
            ) from error
        builder = tfds.builder(name, data_dir=data_dir)
    return TfdsSource(builder)


def _check_features(builder):
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
