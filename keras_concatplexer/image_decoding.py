"""Encoded images -> pixels as a graph: for training, evaluation and serving alike."""

import tensorflow as tf

from keras_concatplexer.image_formats import bmp, gif, jpeg, png, webp
from keras_concatplexer.image_formats.reading import (
    after,
    length,
    refuse_unless,
    starts_with,
    text,
)

DEFAULT_MAX_PIXELS = 2**24
# Four channels of the largest image, and room for what stands around them.
DEFAULT_MAX_BYTES = 5 * DEFAULT_MAX_PIXELS
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as JPEG has it
# Images that are decoded at once: each may take 15 bytes per pixel.
PARALLEL_DECODES = 4


# Traced once, whoever calls it: a SavedModel of many signatures holds one copy.
@tf.function(
    input_signature=[
        tf.TensorSpec((), tf.string),
        tf.TensorSpec((), tf.int64),
        tf.TensorSpec((), tf.int64),
    ],
    autograph=False,
)
def decode_image(content, max_pixels, max_bytes):
    """Decodes one image, turned upright as its Exif data say.

    | format | decoded | refused |
    |---|---|---|
    | JPEG | baseline, progressive; gray, color, CMYK | others; too many scans; a size that the file is too short for |
    | PNG | all; 16-bit channels are cut to their higher 8 bits | too many chunks |
    | GIF | the first frame, black around it | a frame larger than the screen |
    | BMP | 24 and 32 bits, 8 bits with a palette | others, compression |
    | WebP | lossy, lossless; the first frame of an animation, black around it | - |

    Gray gets three channels, alpha is dropped.

    Args:
        content: string scalar, the file.
        max_pixels: int64 scalar. An image of more (height x width), or of more than
            32,768 on a side, is refused before memory is taken for it.
        max_bytes: int64 scalar. A longer file is refused.

    Returns:
        uint8 tensor `(height, width, 3)`. What cannot be decoded rightly is an
        `InvalidArgumentError`.
    """  # noqa: E501
    check = refuse_unless(
        length(content) <= max_bytes, "The image has more than", max_bytes, "bytes."
    )
    content = after([check], content)
    is_webp = starts_with(content, webp.MAGIC) & (text(content, 8, 4) == webp.KIND)
    decoders = [
        (starts_with(content, jpeg.MAGIC), jpeg.decode),
        (starts_with(content, png.MAGIC), png.decode),
        (starts_with(content, gif.MAGIC), gif.decode),
        (starts_with(content, bmp.MAGIC), bmp.decode),
        (is_webp, webp.decode),
    ]

    def unknown():
        check = refuse_unless(
            False, "Not an image: expected a JPEG, PNG, GIF, BMP or WebP."
        )
        return after([check], tf.zeros((0, 0, 3), tf.uint8))

    which = tf.argmax([*(known for known, _ in decoders), True])
    branches = [lambda d=decode: d(content, max_pixels) for _, decode in decoders]
    image = tf.switch_case(tf.cast(which, tf.int32), [*branches, unknown])
    return tf.ensure_shape(image, (None, None, 3))


def decode_images(
    encoded, preprocessor, max_pixels=DEFAULT_MAX_PIXELS, max_bytes=DEFAULT_MAX_BYTES
):
    """Decodes and preprocesses a batch of encoded images of any size.

    Args:
        encoded: string tensor `(batch_size,)`.
        preprocessor: `ImagePreprocessor` of 1 or 3 channels.
        max_pixels: int, as of `decode_image`.
        max_bytes: int, as of `decode_image`.

    Returns:
        float32 tensor `(batch_size, *image_shape)`, the model's input. An image that
        cannot be decoded or is too large makes the whole call an
        `InvalidArgumentError`.
    """

    def decode(content):
        image = decode_image(content, max_pixels, max_bytes)
        return preprocessor(to_channels(image, preprocessor.image_shape[-1]))

    return tf.map_fn(
        decode,
        encoded,
        fn_output_signature=tf.TensorSpec(preprocessor.image_shape, tf.float32),
        parallel_iterations=PARALLEL_DECODES,
    )


def can_decode(image_shape):
    """Whether a model of this image shape can be fed with encoded images."""
    return image_shape[-1] in (1, 3)


def to_channels(image, num_channels):
    """Returns a color image as it is, or as gray of one channel."""
    if num_channels == 3:
        return image
    # Rounded, so that a gray image comes out as it went in.
    image = tf.tensordot(tf.cast(image, tf.float32), tf.constant(LUMA), 1)
    return tf.round(image)[..., tf.newaxis]
