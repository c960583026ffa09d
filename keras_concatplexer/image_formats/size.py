"""The size that an image may have."""

import tensorflow as tf

from keras_concatplexer.image_formats.reading import after, refuse_unless

# Resizing first makes an image of the model's height and the file's width: a single
# row of as many pixels as an image may have would take 200 times its memory.
MAX_SIDE = 2**15


def check_size(height, width, max_pixels):
    """Returns the operation that refuses an empty or too large image.

    Args:
        height: int64 scalar from a header, which may hold any number.
        width: as `height`.
        max_pixels: int64 scalar.
    """
    larger, smaller = tf.maximum(height, width), tf.minimum(height, width)
    size = tf.stack([height, width])
    return tf.group(
        refuse_unless(smaller > 0, "The image is empty; height and width:", size),
        refuse_unless(
            # Dividing does not overflow.
            (larger <= MAX_SIDE) & (smaller <= max_pixels // tf.maximum(larger, 1)),
            "The image has more than",
            max_pixels,
            f"pixels, or more than {MAX_SIDE} on a side; height and width:",
            size,
        ),
    )


def check_decoded(image, height, width):
    """Returns the image if it has the size that its header told, and 3 channels."""
    image = tf.ensure_shape(image, (None, None, 3))
    size = tf.shape(image, tf.int64)[:2]
    same = tf.reduce_all(size == tf.stack([height, width]))
    check = refuse_unless(same, "The image has another size than its header says.")
    return after([check], image)


def on_canvas(image, top, left, height, width):
    """Returns an image at a place of a black canvas; itself, if it fills that."""
    fills = tf.reduce_all(tf.shape(image, tf.int64)[:2] == tf.stack([height, width]))
    place = [tf.cast(number, tf.int32) for number in (top, left, height, width)]
    return tf.cond(
        fills, lambda: image, lambda: tf.image.pad_to_bounding_box(image, *place)
    )
