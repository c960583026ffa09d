"""BMP."""

import tensorflow as tf

from keras_concatplexer.image_formats.reading import (
    after,
    integer,
    integer64,
    length,
    refuse_unless,
    text,
    values,
)
from keras_concatplexer.image_formats.size import check_decoded, check_size

MAGIC = b"BM"
FILE_HEADER_BYTES, INFO_HEADER_BYTES, MASKS_BYTES = 14, 40, 12
NO_COMPRESSION, BIT_FIELDS = 0, 3
# Blue, green, red, and one byte without meaning: the only order that is decoded.
USUAL_MASKS = (0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0)


def decode(content, max_pixels):
    """Decodes a BMP of 8 (palette), 24 or 32 bits as uint8 `(height, width, 3)`.

    TensorFlow takes the numbers in a palette's place for gray, and does not look at
    compression and masks.
    """
    pixels, info_bytes = integer(content, 10, 4), integer(content, 14, 4)
    width, height = _signed(content, 18), _signed(content, 22)
    bits, compression = integer(content, 28, 2), integer(content, 30, 4)
    masks_at = FILE_HEADER_BYTES + INFO_HEADER_BYTES
    usual = tf.reduce_all(values(content, masks_at, 12) == integer64(USUAL_MASKS))
    plain = (compression == NO_COMPRESSION) & tf.reduce_any(
        bits == integer64((8, 24, 32))
    )
    plain |= (compression == BIT_FIELDS) & (bits == 32) & usual
    num_rows = tf.abs(height)
    checks = [
        refuse_unless(
            plain & (info_bytes >= INFO_HEADER_BYTES),
            "The BMP is not of 8, 24 or 32 bits without compression, its bits and "
            "compression:",
            tf.stack([bits, compression]),
        ),
        check_size(num_rows, width, max_pixels),
    ]
    row_bytes = (width * bits // 8 + 3) // 4 * 4
    # Nothing behind the last row: TensorFlow refuses it.
    alone = text(after(checks, content), 0, pixels + num_rows * row_bytes)
    image = tf.io.decode_bmp(alone)
    image = tf.cond(
        bits == 8,
        lambda: _colors(content, image[..., 0], pixels, info_bytes),
        lambda: image[..., :3],
    )
    return check_decoded(image, num_rows, width)


def _signed(content, position):
    """Returns an integer of 32 bits; a negative height tells that the top is first."""
    value = integer(content, position, 4)
    return tf.where(value < 2**31, value, value - 2**32)


def _colors(content, image, pixels, info_bytes):
    """Returns the colors that the numbers of an image stand for."""
    palette = FILE_HEADER_BYTES + info_bytes
    number = integer(content, FILE_HEADER_BYTES + 32, 4)
    number = tf.where((number > 0) & (number < 256), number, 256)
    # Blue, green, red, and one byte without meaning.
    colors = tf.reshape(values(content, palette, 4 * number), (-1, 4))[:, 2::-1]
    indices = tf.cast(image, tf.int32)
    checks = [
        refuse_unless(
            (palette + 4 * number <= pixels) & (pixels <= length(content)),
            "The BMP's palette is not whole.",
        ),
        refuse_unless(
            tf.cast(tf.reduce_max(image), tf.int64) < number,
            "The BMP has colors that its palette lacks.",
        ),
    ]
    return tf.gather(tf.cast(after(checks, colors), tf.uint8), indices)
