"""How a camera held an image: the orientation in its Exif data."""

import tensorflow as tf

from keras_concatplexer.image_formats.reading import (
    as_integer,
    integer,
    integer64,
    starts_with,
    text,
    values,
)

# Exif 2.32, section 4.6.4 A: tag and type of the orientation; an entry is 12 bytes.
TAG, SHORT, ENTRY = 0x0112, 3, 12
# In a JPEG, and in front of what some writers put into a WebP.
PREFIX = b"Exif\0\0"
# A JPEG has room for no more.
MAX_BYTES = 2**16


def orientation(content, position, number):
    """Returns the orientation, 1 to 8, of the Exif data at a place of a file.

    Args:
        content: string scalar, the file.
        position: int64 scalar, where the data begins; 0: there is none.
        number: int64 scalar, its bytes.

    Returns:
        int64 scalar; 1, upright, where nothing valid is found.
    """

    def found():
        data = text(content, position, tf.minimum(number, MAX_BYTES))
        prefix = tf.where(starts_with(data, PREFIX), len(PREFIX), 0)
        data = tf.strings.substr(data, prefix, MAX_BYTES)
        return tf.case(
            [
                (starts_with(data, b"II*\0"), lambda: _of_tiff(data, False)),
                (starts_with(data, b"MM\0*"), lambda: _of_tiff(data, True)),
            ],
            default=lambda: integer64(1),
        )

    return tf.cond(position > 0, found, lambda: integer64(1))


def _of_tiff(data, big_endian):
    start = integer(data, 4, 4, big_endian)
    number = tf.maximum(integer(data, start, 2, big_endian), 1)
    entries = tf.reshape(values(data, start + 2, number * ENTRY), (-1, ENTRY))
    tags = as_integer(entries[:, :2], big_endian)
    types = as_integer(entries[:, 2:4], big_endian)
    turned = as_integer(entries[:, 8:10], big_endian)
    valid = (tags == TAG) & (types == SHORT) & (turned >= 1) & (turned <= 8)
    # The first valid entry, or else the 1 behind them.
    return tf.concat([tf.boolean_mask(turned, valid), [1]], axis=0)[0]


def upright(image, orientation):
    """Returns an image `(height, width, channels)` as it is to be looked at."""

    def turn():
        turned = tf.cond(
            orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image
        )

        def is_one_of(*numbers):
            return tf.reduce_any(orientation == integer64(numbers))

        turned = tf.cond(
            is_one_of(2, 3, 6, 7), lambda: tf.reverse(turned, [1]), lambda: turned
        )
        return tf.cond(
            is_one_of(3, 4, 7, 8), lambda: tf.reverse(turned, [0]), lambda: turned
        )

    return tf.cond(orientation > 1, turn, lambda: image)
