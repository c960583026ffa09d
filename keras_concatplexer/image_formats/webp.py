"""WebP."""

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
from keras_concatplexer.image_formats.size import (
    check_decoded,
    check_size,
    on_canvas,
)

# Four bytes of length stand between the two.
MAGIC, KIND = b"RIFF", b"WEBP"
HEADER_BYTES = 12
# A few stand around the image; those of an animation begin with its first frame.
MAX_CHUNKS = 64
BYTES = [bytes([value]) for value in range(256)]


def decode(content, max_pixels):
    """Decodes a still WebP or an animation's first frame as uint8, upright.

    TensorFlow 2.20 refuses alpha, and writes past its memory for an animation: it is
    given a simple file of the one frame without alpha instead.

    Returns:
        uint8 tensor `(height, width, 3)`.
    """
    chunks = _find_chunks(content)
    width, height = _frame_size(content, chunks)
    left, top, canvas_width, canvas_height = _place(content, chunks, width, height)
    fits = (left + width <= canvas_width) & (top + height <= canvas_height)
    # A still image fills its canvas.
    still = chunks.frame == 0
    fits &= ~still | ((width == canvas_width) & (height == canvas_height))
    checks = [
        refuse_unless(chunks.image > 0, "The WebP holds no image."),
        check_size(height, width, max_pixels),
        check_size(canvas_height, canvas_width, max_pixels),
        refuse_unless(fits, "The WebP's image does not fit its canvas."),
    ]
    image = tf.io.decode_webp(after(checks, _image_alone(content, chunks)))
    image = check_decoded(image[0, ..., :3], height, width)
    image = on_canvas(image, top, left, canvas_height, canvas_width)
    return upright(image, orientation(content, chunks.exif, chunks.exif_bytes))


class _Chunks(NamedTuple):
    """Where the contents of chunks begin, 0 if nowhere, and a walk's own state."""

    canvas: tf.Tensor
    frame: tf.Tensor
    image: tf.Tensor
    image_bytes: tf.Tensor
    exif: tf.Tensor
    exif_bytes: tf.Tensor
    lossless: tf.Tensor
    position: tf.Tensor
    number: tf.Tensor
    done: tf.Tensor


def _find_chunks(content):
    end = length(content)

    def step(chunks):
        kind = text(content, chunks.position, 4)
        num_bytes = integer(content, chunks.position + 4, 4)
        inside = chunks.position + 8
        lossless = kind == b"VP8L"
        is_image = ((kind == b"VP8 ") | lossless) & (chunks.image == 0)
        is_canvas = (kind == b"VP8X") & (chunks.canvas == 0)
        is_frame = (kind == b"ANMF") & (chunks.frame == 0)
        is_exif = (kind == b"EXIF") & (chunks.exif == 0)
        canvas = tf.where(is_canvas, inside, chunks.canvas)
        # A frame holds chunks behind its own 16 bytes; others are of even length.
        behind = inside + tf.where(is_frame, integer64(16), num_bytes + num_bytes % 2)
        number = chunks.number + 1
        # Exif data stands behind the image of an extended file.
        is_last = is_image & ((canvas == 0) | (chunks.frame > 0))
        is_last |= is_exif | (behind >= end) | (number >= MAX_CHUNKS)
        return _Chunks(
            canvas=canvas,
            frame=tf.where(is_frame, inside, chunks.frame),
            image=tf.where(is_image, inside, chunks.image),
            image_bytes=tf.where(is_image, num_bytes, chunks.image_bytes),
            exif=tf.where(is_exif, inside, chunks.exif),
            exif_bytes=tf.where(is_exif, num_bytes, chunks.exif_bytes),
            lossless=tf.where(is_image, lossless, chunks.lossless),
            position=behind,
            number=number,
            done=is_last,
        )

    zero, no = integer64(0), tf.constant(False)
    return walk(step, _Chunks(*[zero] * 6, no, integer64(HEADER_BYTES), zero, no))


def _frame_size(content, chunks):
    """Returns width and height: 14 bits each, RFC 6386, 9.1, and RFC 9649, 3.4."""
    lossy = integer(content, chunks.image + 6, 4)
    lossless = integer(content, chunks.image + 1, 4)
    return (
        tf.where(chunks.lossless, lossless % 2**14 + 1, lossy % 2**14),
        tf.where(
            chunks.lossless, lossless // 2**14 % 2**14 + 1, lossy // 2**16 % 2**14
        ),
    )


def _place(content, chunks, width, height):
    """Returns the frame's left and top, and the canvas' width and height."""

    def number(chunk, at, num_bytes, default):
        return tf.where(chunk > 0, integer(content, chunk + at, num_bytes), default)

    return (
        2 * number(chunks.frame, 0, 3, 0),
        2 * number(chunks.frame, 3, 3, 0),
        number(chunks.canvas, 4, 3, width - 1) + 1,
        number(chunks.canvas, 7, 3, height - 1) + 1,
    )


def _image_alone(content, chunks):
    even_bytes = chunks.image_bytes + chunks.image_bytes % 2
    chunk = text(content, chunks.image - 8, even_bytes + 8)
    # The length of what follows: a decoder refuses a file shorter than it says.
    digits = (length(chunk) + 4) // [1, 2**8, 2**16, 2**24] % 2**8
    spelled = tf.strings.reduce_join(tf.gather(tf.constant(BYTES), digits))
    return tf.strings.join([MAGIC, spelled, KIND, chunk])
