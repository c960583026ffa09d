"""From the input that the user names to shards: the units of work, in a fixed order."""

import dataclasses
import glob
import hashlib
import os
import pathlib
import re

import fsspec

from savedmodel_export.client.inputs import find_images
from savedmodel_export.image_names import IMAGES, has_image_name, is_system
from savedmodel_export.scoring.sources import (
    Files,
    RecordFile,
    TfdsSlice,
    image_feature,
)

TFDS, RECORDS = "tfds:", "tfrecord:"
# A name may hold a version, and a split may hold a slice: both have colons.
TFDS_NAME = re.compile(r"(?P<name>[^:]+(:[\d*]+\.[\d*]+\.[\d*]+)?)(:(?P<split>.+))?")


@dataclasses.dataclass(frozen=True)
class Shard:
    """Images that are scored together into one table.

    Attributes:
        index: int.
        source: `Files`, `TfdsSlice` or `RecordFile`.
    """

    index: int
    source: object


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be scored.

    Attributes:
        shards: tuple of `Shard`.
        num_images: int or `None` where it is not known before the records are read.
        digest: str. It changes with the images, their order and their shards.
    """

    shards: tuple
    num_images: int | None
    digest: str


def make_plan(address, shard_size, data_dir=None, key_feature=None):
    """Returns the `Plan` of an input.

    Args:
        address: str. A folder, recursively; a glob; a text file of paths;
            `tfds:NAME[:SPLIT]`; `tfrecord:GLOB`. Folders, globs and the paths of a
            text file may be URLs.
        shard_size: int. Images per shard. Each record file is a shard of its own.
        data_dir: str or `None`, for TFDS.
        key_feature: str or `None`, for records.

    Raises:
        ValueError: if there is no image.
    """
    if address.startswith(TFDS):
        sources = list(_tfds_slices(address[len(TFDS) :], data_dir, shard_size))
        number = sum(map(len, sources))
    elif address.startswith(RECORDS):
        paths = _record_files(address[len(RECORDS) :])
        sources = [RecordFile(path, key_feature) for path in paths]
        number = None
    else:
        pairs = _image_files(address)
        sources = [
            Files(*zip(*pairs[start : start + shard_size], strict=True))
            for start in range(0, len(pairs), shard_size)
        ]
        number = len(pairs)
    if not sources:
        raise ValueError(f"--input={address} holds no image ({', '.join(IMAGES)}).")
    digest = hashlib.sha256()
    for source in sources:
        digest.update(repr(source).encode(errors="surrogateescape"))
    shards = tuple(Shard(index, source) for index, source in enumerate(sources))
    return Plan(shards, number, digest.hexdigest())


def _image_files(address):
    """Returns pairs (key, path)."""
    if "://" in address:
        return _remote_files(address)
    path = pathlib.Path(address).expanduser()
    if path.is_dir():
        files, unread = find_images([path])
        # A folder that cannot be read is kept: it becomes a row of the errors.
        files += [place for place, _ in unread]
        # Relative keys stay the same where the folder moves.
        return [(str(file.relative_to(path)), str(file)) for file in files]
    if path.suffix == ".txt" and path.is_file():
        lines = path.read_text(errors="surrogateescape").splitlines()
        names = dict.fromkeys(line for line in lines if line.strip())
    else:
        found = sorted(glob.glob(str(path), recursive=True))
        names = [name for name in found if not os.path.isdir(name)]
        if not found and not glob.has_magic(str(path)):
            raise ValueError(f"--input={address} does not exist.")
    return [(name, name) for name in names]


def _remote_files(address):
    files, path = fsspec.url_to_fs(address)
    if files.isdir(path):
        found, start = files.find(path), len(path.rstrip("/")) + 1
        names = [
            name
            for name in sorted(found)
            if has_image_name(name) and not any(map(is_system, name[start:].split("/")))
        ]
        return [(name[start:], files.unstrip_protocol(name)) for name in names]
    if path.endswith(".txt"):
        lines = files.cat_file(path).decode().splitlines()
        return [(line, line) for line in dict.fromkeys(lines) if line.strip()]
    names = [files.unstrip_protocol(name) for name in sorted(files.glob(path))]
    return [(name, name) for name in names]


def _record_files(pattern):
    import tensorflow as tf

    paths = sorted(tf.io.gfile.glob(os.path.expanduser(pattern)))
    if not paths:
        raise ValueError(f"--input={RECORDS}{pattern} matches no file.")
    return paths


def _tfds_slices(name, data_dir, shard_size):
    import tensorflow_datasets as tfds

    found = TFDS_NAME.fullmatch(name)
    if not found:
        raise ValueError(f"Expected --input=tfds:NAME[:SPLIT]. Received: tfds:{name}")
    name, split = found["name"], found["split"] or "test"
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        image_feature(builder.info)
        instructions = tfds.core.ReadInstruction.from_spec(split).to_absolute(
            builder.info.splits
        )
    except Exception as error:  # TFDS has no common class for them.
        message = " ".join(str(error).split())
        raise ValueError(f"--input={TFDS}{name}:{split}: {message}") from error
    for part in instructions:
        whole = builder.info.splits[part.splitname].num_examples
        start, stop = part.from_ or 0, whole if part.to is None else part.to
        for first in range(start, stop, shard_size):
            last = min(stop, first + shard_size)
            yield TfdsSlice(name, data_dir, part.splitname, first, last)
