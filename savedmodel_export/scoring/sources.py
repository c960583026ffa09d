"""Where the images of a shard come from. Each source yields them in a fixed order."""

import collections
import concurrent.futures
import dataclasses

import fsspec

from savedmodel_export.client.inputs import (
    MAX_FILE_BYTES,
    UnreadableError,
    read_image,
)

# Files that are read at once, and ahead of the model.
READERS, AHEAD = 8, 32


@dataclasses.dataclass(frozen=True)
class Image:
    """One image as it was found.

    Attributes:
        key: str, the same in every run.
        content: bytes or `None`.
        error: str or `None`. Why there is no content.
    """

    key: str
    content: bytes | None = None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Files:
    """Image files.

    Attributes:
        keys: tuple of str.
        paths: tuple of str, as many. Paths or URLs.
    """

    keys: tuple
    paths: tuple

    def __len__(self):
        return len(self.paths)

    def read(self):
        """Yields an `Image` per file."""
        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            waiting = collections.deque()
            for key, path in zip(self.keys, self.paths, strict=True):
                if len(waiting) == AHEAD:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(_read, key, path))
            while waiting:
                yield waiting.popleft().result()


@dataclasses.dataclass(frozen=True)
class TfdsSlice:
    """Consecutive examples of a TFDS split.

    Attributes:
        name: str, of the data set.
        data_dir: str or `None`.
        split: str, a whole split.
        start, stop: int, positions in it.
    """

    name: str
    data_dir: str | None
    split: str
    start: int
    stop: int

    def __len__(self):
        return self.stop - self.start

    def read(self):
        """Yields an `Image` per example; the key is TFDS' own."""
        import tensorflow_datasets as tfds

        builder = tfds.builder(self.name, data_dir=self.data_dir)
        feature = image_feature(builder.info)
        examples = builder.as_dataset(
            split=tfds.core.ReadInstruction(
                self.split, from_=self.start, to=self.stop, unit="abs"
            ),
            decoders={feature: tfds.decode.SkipDecoding()},
            shuffle_files=False,
            # One file after the other, so that the order is fixed.
            read_config=tfds.ReadConfig(add_tfds_id=True, interleave_cycle_length=1),
        )
        for example in examples.as_numpy_iterator():
            yield Image(example["tfds_id"].decode(), example[feature])


@dataclasses.dataclass(frozen=True)
class RecordFile:
    """A TFRecord file of tf.Examples with the feature `image/encoded`.

    Attributes:
        path: str.
        key_feature: str or `None`. The feature that holds the key; by default the key
            is the file's path and the record's number.
    """

    path: str
    key_feature: str | None = None

    def read(self):
        """Yields an `Image` per record, and one more if the file is damaged."""
        import tensorflow as tf

        records = tf.data.TFRecordDataset(self.path).as_numpy_iterator()
        number = 0
        while True:
            place = f"{self.path}:{number}"
            try:
                record = next(records)
            except StopIteration:
                return
            except tf.errors.OpError as error:
                # Nothing behind the damage can be read.
                yield Image(place, error=error.message)
                return
            yield self._image(place, record)
            number += 1

    def _image(self, place, record):
        import tensorflow as tf
        from google.protobuf.message import DecodeError

        try:
            features = tf.train.Example.FromString(record).features.feature
        except DecodeError:
            return Image(place, error="the record is no tf.Example")
        contents = features["image/encoded"].bytes_list.value
        if self.key_feature is None:
            key = place
        elif values := _values(features[self.key_feature]):
            key = values[0]
        else:
            return Image(place, error=f"the record has no {self.key_feature}")
        if not contents:
            return Image(key, error="the record has no image/encoded")
        return Image(key, contents[0])


def image_feature(info):
    """Returns the name of the one image feature of a TFDS data set.

    Raises:
        ValueError: if it has none or several.
    """
    import tensorflow_datasets as tfds

    names = [
        name
        for name, feature in info.features.items()
        if isinstance(feature, tfds.features.Image)
    ]
    if len(names) != 1:
        raise ValueError(
            f"{info.full_name} must have one image feature. It has {names or 'none'}."
        )
    return names[0]


def _read(key, path):
    try:
        return Image(key, _read_remote(path) if "://" in path else read_image(path))
    except UnreadableError as error:
        return Image(key, error=str(error))


def _read_remote(path):
    try:
        with fsspec.open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    if not content:
        raise UnreadableError("empty file")
    if len(content) > MAX_FILE_BYTES:
        raise UnreadableError(f"more than {MAX_FILE_BYTES} bytes")
    return content


def _values(feature):
    """Returns the values of a feature of bytes or integers, as str."""
    values = [value.decode(errors="replace") for value in feature.bytes_list.value]
    return values or [str(value) for value in feature.int64_list.value]
