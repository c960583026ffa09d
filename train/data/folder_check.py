"""Checks every file of a folder before a run starts."""

import os
import sys
import time

import numpy as np
import tensorflow as tf

from keras_concatplexer.image_decoding import decode_image
from keras_concatplexer.reasons import reason_of
from savedmodel_export.image_names import OTHER_IMAGES

# Files of one's own are no attack: photographs of 48 million pixels are decoded.
MAX_PIXELS = 2**26
MAX_BYTES = 5 * MAX_PIXELS
FILES_AT_ONCE = 64
NUM_NAMED = 20
SECONDS_BETWEEN_LINES = 10


def image_sizes(paths):
    """Decodes files and returns the sizes of the images.

    Args:
        paths: list of `pathlib.Path`.

    Returns:
        dict, path -> (height, width), and dict, path -> why it cannot be decoded.
    """
    bad = {path: reason for path in paths if (reason := _bad_at_once(path))}
    candidates = [path for path in paths if path not in bad]
    sizes = {}
    if candidates:
        for index, height, width in _decoded(candidates):
            sizes[candidates[index]] = (int(height), int(width))
    for path in candidates:
        if path not in sizes:
            bad[path] = _why(path)
    return sizes, bad


def _bad_at_once(path):
    """Why a file is bad as far as its name and length tell, or `""`."""
    try:
        num_bytes = path.stat().st_size
    except OSError as error:
        return f"{error.strerror}"
    if num_bytes == 0:
        return "empty"
    if path.suffix.lower() in OTHER_IMAGES:
        return f"{path.suffix.lower()} is not decoded; convert it"
    return ""


def _decoded(paths):
    """Yields (index, height, width) of each file that can be decoded."""
    dataset = tf.data.Dataset.from_tensor_slices([os.fsencode(path) for path in paths])
    dataset = dataset.enumerate().map(
        lambda index, path: (index, *_size(path)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=False,
    )
    num_files, last = 0, time.monotonic()
    for rows in dataset.ignore_errors().batch(FILES_AT_ONCE):
        rows = np.stack(rows, axis=1)
        num_files += len(rows)
        yield from rows
        if time.monotonic() - last > SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f"{num_files} of {len(paths)} images checked", file=sys.stderr)


def _size(path):
    image = decode_image(tf.io.read_file(path), MAX_PIXELS, MAX_BYTES)
    size = tf.shape(image, tf.int64)
    return size[0], size[1]


def _why(path):
    try:
        _size(os.fsencode(path))
    except tf.errors.OpError as error:
        return reason_of(error)
    return "could be decoded only at the second try"


def check_files(folder, skip_bad):
    """Decodes every file of a folder.

    Args:
        folder: `Folder`.
        skip_bad: bool. Whether bad files are left out, or are an error.

    Returns:
        The folder without bad files, and dict, path -> (height, width).

    Raises:
        ValueError: that names the bad files.
    """
    paths = [path for files in folder.files.values() for path, _ in files]
    sizes, bad = image_sizes(paths)
    if not bad:
        return folder, sizes
    named = [
        f"  {folder.name_of(path)}: {reason}" for path, reason in sorted(bad.items())
    ]
    if not skip_bad:
        if len(named) > NUM_NAMED:
            named[NUM_NAMED:] = [f"  and {len(named) - NUM_NAMED} more"]
        raise ValueError(
            f"{len(bad)} of {len(paths)} images in {folder.root} cannot be decoded. "
            "Mend or remove them, or leave them out by --bad_images=skip:\n"
            + "\n".join(named)
        )
    for line in named:
        print(f"left out {line.strip()}", file=sys.stderr)
    return folder.without(bad), sizes
