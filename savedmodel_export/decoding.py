"""Encoded images -> pixels, inside the exported graph."""

import tensorflow as tf

DEFAULT_MAX_PIXELS = 2**24
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as JPEG has it
# Images that are decoded at once: each may take 15 bytes per pixel.
PARALLEL_DECODES = 4


def decode_images(encoded, preprocessor, max_pixels=DEFAULT_MAX_PIXELS):
    """Decodes and preprocesses a batch of encoded images of any size.

    JPEG, PNG, BMP, GIF and WebP. Gray images get three channels, alpha is dropped,
    16-bit channels are cut to 8; an animated GIF is taken by its first frame.

    Args:
        encoded: string tensor `(batch_size,)`.
        preprocessor: `ImagePreprocessor` of 1 or 3 channels.
        max_pixels: int. An image of more (height x width) is refused: JPEG, PNG and
            GIF by the header, before memory is taken; BMP and WebP after decoding.

    Returns:
        float32 tensor `(batch_size, *image_shape)`, the model's input. An image that
        cannot be decoded or is too large makes the whole call an
        `InvalidArgumentError`.
    """

    def decode(content):
        return preprocessor(
            _channels(_decode_one(content, max_pixels), preprocessor.image_shape[-1])
        )

    return tf.map_fn(
        decode,
        encoded,
        fn_output_signature=tf.TensorSpec(preprocessor.image_shape, tf.float32),
        parallel_iterations=PARALLEL_DECODES,
    )


def can_decode(image_shape):
    """Whether a model of this image shape can be fed with encoded images."""
    return image_shape[-1] in (1, 3)


def _decode_one(content, max_pixels):
    with tf.control_dependencies([_check_size(_size_by_header(content), max_pixels)]):
        content = tf.identity(content)
    image = tf.io.decode_image(content, channels=3, expand_animations=False)
    image = tf.ensure_shape(image, (None, None, 3))
    size = tf.shape(image, tf.int64)[:2]
    with tf.control_dependencies([_check_size(size, max_pixels)]):
        return tf.identity(image)


def _check_size(size, max_pixels):
    # A corrupt header may hold any number: dividing does not overflow.
    height, width = size[0], size[1]
    fits = (height >= 0) & (width >= 0)
    fits &= height <= max_pixels // tf.maximum(width, 1)
    return tf.debugging.Assert(
        fits,
        [f"The image has more than {max_pixels} pixels; height and width:", size],
    )


def _size_by_header(content):
    """Returns int64 (height, width); zeros where the format does not tell."""

    def jpeg():
        return tf.io.extract_jpeg_shape(content, tf.int64)[:2]

    def png():
        # After 8 bytes of signature and 8 of the chunk's name: width, height.
        size = tf.io.decode_raw(
            tf.strings.substr(content, 16, 8), tf.int32, little_endian=False
        )
        return tf.cast(size[::-1], tf.int64)

    def gif():
        size = tf.io.decode_raw(tf.strings.substr(content, 6, 4), tf.uint16)
        return tf.cast(size[::-1], tf.int64)

    def other():
        return tf.zeros((2,), tf.int64)

    def starts_with(magic, num_bytes):
        # `substr` refuses a string shorter than the position it starts at.
        whole = tf.strings.length(content) >= num_bytes
        return whole & (tf.strings.substr(content, 0, len(magic)) == magic)

    return tf.ensure_shape(
        tf.case(
            [
                (starts_with(b"\xff\xd8\xff", 3), jpeg),
                (starts_with(b"\x89PNG", 24), png),
                (starts_with(b"GIF8", 10), gif),
            ],
            default=other,
        ),
        (2,),
    )


def _channels(image, num_channels):
    if num_channels == 3:
        return image
    # Rounded, so that a gray image comes out as it went in.
    image = tf.tensordot(tf.cast(image, tf.float32), tf.constant(LUMA), 1)
    return tf.round(image)[..., tf.newaxis]
