import struct

import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from savedmodel_export.decoding import decode_images


@pytest.fixture(scope="module")
def decode():
    preprocessor = kcp.preprocessing.ImagePreprocessor((12, 20, 3), mean=0.0, std=1.0)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def decode(encoded):
        return decode_images(encoded, preprocessor, max_pixels=24 * 40)

    return lambda *contents: decode(tf.constant(contents)).numpy()


def test_every_format_comes_out_alike(decode, good_files):
    images = dict(zip(good_files, decode(*good_files.values()), strict=True))
    exact = images["png"]
    assert exact.dtype == np.float32 and exact.min() >= 0 and exact.max() <= 1
    for name in ("png rgba", "bmp", "webp lossless"):
        np.testing.assert_allclose(images[name], exact, atol=1e-6)
    # An animation is taken by its first frame.
    np.testing.assert_allclose(images["gif animated"], images["gif"], atol=0.2)
    assert np.abs(images["gif animated"] - images["gif"]).mean() < 0.05
    for name in ("png gray", "png gray alpha", "jpeg gray", "png 16 bit"):
        np.testing.assert_allclose(images[name][..., 0], images[name][..., 2])
    for name in ("jpeg", "jpeg cmyk", "jpeg progressive", "webp", "png palette"):
        assert np.abs(images[name] - exact).mean() < 0.2, name


def test_larger_images_are_refused(decode, encode, bombs):
    large = np.zeros((25, 40, 3), "uint8")
    for format in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
        decode(encode(large[1:], format))
        with pytest.raises(tf.errors.InvalidArgumentError, match="more than 960 pix"):
            decode(encode(large[1:]), encode(large, format))
    sizes = ("20000 20000", "65500 65500", "65535 65535")
    for bomb, size in zip(bombs, sizes, strict=True):
        with pytest.raises(tf.errors.InvalidArgumentError, match=size):
            decode(bomb)


def test_sizes_that_overflow_are_refused(decode, encode):
    content = bytearray(encode(np.zeros((4, 4, 3), "uint8")))
    for size in [(2**31 - 1, 2**31 - 1), (2**31, 2), (2**32 - 1, 2**32 - 1)]:
        content[16:24] = struct.pack(">II", *size)
        with pytest.raises(tf.errors.InvalidArgumentError, match="more than 960"):
            decode(bytes(content))


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xd8\xff", b"\x89PNG", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"text"],
)
def test_no_image_is_an_invalid_argument(decode, good_files, content):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(good_files["png"], content)
