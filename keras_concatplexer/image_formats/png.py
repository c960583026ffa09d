"""PNG."""

from typing import NamedTuple

import tensorflow as tf

from keras_concatplexer.image_formats.exif import orientation, upright
from keras_concatplexer.image_formats.reading import (
    after,
    integer,
    integer64,
    length,
    refuse_unless,
    text,
    walk,
)
from keras_concatplexer.image_formats.size import check_decoded, check_size

MAGIC = b"\x89PNG\r\n\x1a\n"
# The signature and the first chunk, which holds the size.
HEADER_BYTES = 33
END_CHUNK = b"\0\0\0\0IEND\xaeB`\x82"
# Length, type and checksum of a chunk.
FRAME_BYTES = 12
# libpng writes 80 MiB in as many.
MAX_CHUNKS = 10_240


def decode(content, max_pixels):
    """Decodes a PNG as uint8 `(height, width, 3)`, upright.

    Only the chunks that hold the image are decoded: a file's compressed texts may
    unpack to gigabytes.
    """
    header_type, width, height = (
        integer(content, at, 4, big_endian=True) for at in (12, 16, 20)
    )
    chunks = _find_chunks(content)
    checks = [
        refuse_unless(
            header_type == _type(b"IHDR"), "The PNG does not begin with its header."
        ),
        refuse_unless(
            chunks.number <= MAX_CHUNKS, f"The PNG has more than {MAX_CHUNKS} chunks."
        ),
        check_size(height, width, max_pixels),
    ]
    image = tf.io.decode_png(after(checks, _image_alone(content, chunks)), channels=3)
    turned = orientation(content, chunks.exif, chunks.exif_bytes)
    return upright(check_decoded(image, height, width), turned)


class _Chunks(NamedTuple):
    """Where things are in a file, 0 where there is none, and a walk's own state."""

    palette: tf.Tensor
    palette_bytes: tf.Tensor
    image: tf.Tensor
    image_end: tf.Tensor
    exif: tf.Tensor
    exif_bytes: tf.Tensor
    position: tf.Tensor
    number: tf.Tensor
    done: tf.Tensor


def _find_chunks(content):
    end = length(content)

    def step(chunks):
        here = chunks.position
        chunk_bytes = integer(content, here, 4, big_endian=True)
        kind = integer(content, here + 4, 4, big_endian=True)
        behind = here + chunk_bytes + FRAME_BYTES
        is_image = kind == _type(b"IDAT")
        # An image's chunks follow each other.
        goes_on = is_image & ((chunks.image == 0) | (chunks.image_end == here))
        is_palette = (kind == _type(b"PLTE")) & (chunks.palette == 0)
        is_exif = (kind == _type(b"eXIf")) & (chunks.exif == 0)
        number = chunks.number + 1
        is_last = (kind == _type(b"IEND")) | (behind >= end) | (number > MAX_CHUNKS)
        return _Chunks(
            palette=tf.where(is_palette, here, chunks.palette),
            palette_bytes=tf.where(
                is_palette, chunk_bytes + FRAME_BYTES, chunks.palette_bytes
            ),
            image=tf.where(is_image & (chunks.image == 0), here, chunks.image),
            image_end=tf.where(goes_on, behind, chunks.image_end),
            exif=tf.where(is_exif, here + 8, chunks.exif),
            exif_bytes=tf.where(is_exif, chunk_bytes, chunks.exif_bytes),
            position=behind,
            number=number,
            done=is_last,
        )

    zero = integer64(0)
    start = integer64(HEADER_BYTES)
    return walk(step, _Chunks(*[zero] * 6, start, zero, start >= end))


def _image_alone(content, chunks):
    return tf.strings.join(
        [
            text(content, 0, HEADER_BYTES),
            text(content, chunks.palette, chunks.palette_bytes),
            text(content, chunks.image, chunks.image_end - chunks.image),
            END_CHUNK,
        ]
    )


def _type(name):
    return int.from_bytes(name, "big")
