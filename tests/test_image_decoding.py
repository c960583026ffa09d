import io

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from keras_concatplexer.image_decoding import decode_image, decode_images
from tests.image_formats import files
from tests.image_formats.files import MAX_PIXELS, by_pillow, encode

RNG = np.random.default_rng(1)
RGBA = RNG.integers(0, 256, (24, 40, 4), "uint8")
RGB = RGBA[..., :3]
# Smooth, so that JPEG's losses are small.
SMOOTH = np.asarray(
    PIL.Image.fromarray(RGB[:4, :4]).resize((40, 24), PIL.Image.Resampling.BICUBIC)
)


def decode(content, max_pixels=MAX_PIXELS, max_bytes=2**24):
    return decode_image(content, max_pixels, max_bytes).numpy().astype(int)


def refused(content, message, **limits):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode(content, **limits)


# === What is decoded ===


@pytest.mark.parametrize(
    "name, content",
    {
        "png": encode(RGB),
        "png alpha": encode(RGBA),
        "png gray": encode(RGB, mode="L"),
        "png gray alpha": encode(RGBA, mode="LA"),
        "png palette": encode(RGB, mode="P"),
        "png one bit": encode(RGB, mode="1"),
        "bmp": encode(RGB, "BMP"),
        "bmp 32 bits": encode(RGBA, "BMP"),
        "bmp palette": encode(RGB, "BMP", "P"),
        "bmp gray": encode(RGB, "BMP", "L"),
        "bmp top down": files.bmp([b"abcdef", b"ghijkl"], 24, height=-2),
        "bmp longer": encode(RGB, "BMP") + b"\0\0",
        "gif": encode(RGB, "GIF"),
        "gif interlaced": encode(RGB, "GIF", interlace=True),
        "webp": encode(SMOOTH, "WEBP"),
        "webp lossless": encode(RGB, "WEBP", lossless=True),
        "webp alpha": encode(RGBA, "WEBP", exact=True),
        "webp lossless alpha": encode(RGBA, "WEBP", lossless=True, exact=True),
    }.items(),
)
def test_decoded_as_pillow_does(name, content):
    # The colors of a lossy image are spread in other ways by different versions.
    atol = 4 if name in ("webp", "webp alpha") else 0
    np.testing.assert_allclose(decode(content), by_pillow(content), atol=atol)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_are_decoded_as_pillow_does(mode, progressive):
    content = encode(SMOOTH, "JPEG", mode, progressive=progressive, quality=95)
    np.testing.assert_allclose(decode(content), by_pillow(content), atol=12)


def test_channels_of_16_bits_are_cut_to_their_higher_8():
    deep = RNG.integers(0, 2**16, (5, 7), "uint16")
    want = np.repeat((deep // 256)[..., None], 3, -1)
    np.testing.assert_array_equal(decode(encode(deep)), want)


def test_animations_are_taken_by_their_first_frame():
    others = [PIL.Image.fromarray(255 - RGB)] * 3
    for format, options in (("GIF", {}), ("WEBP", {"lossless": True})):
        still = encode(RGB, format, **options)
        moving = encode(RGB, format, save_all=True, append_images=others, **options)
        assert len(moving) > len(still)
        want = by_pillow(moving)
        np.testing.assert_array_equal(decode(moving), want)


def test_black_stands_around_a_smaller_first_frame():
    want = np.zeros((30, 50, 3))
    want[4:28, 6:46] = RGB
    image = encode(RGB, "WEBP", lossless=True)[12:]
    frame = files.webp_frame(6, 4, 24, 40, image)
    content = files.webp(files.webp_canvas(30, 50, flags=2), frame, frame)
    np.testing.assert_array_equal(decode(content), want)

    gif = encode(RGB, "GIF")
    want[4:28, 6:46] = by_pillow(gif)
    content = files.gif_with_frame(files.gif_with_size(gif, 30, 50), 6, 4, 24, 40)
    np.testing.assert_array_equal(decode(content), want)


# === Orientation ===


@pytest.mark.parametrize("orientation", range(10))
def test_images_are_turned_as_their_exif_data_say(orientation):
    stored = PIL.Image.Exif()
    stored[0x0112] = orientation
    lossless = {"lossless": True}
    for format, options in (("PNG", {}), ("WEBP", lossless), ("JPEG", {})):
        content = encode(RGB, format, exif=stored, **options)
        turned = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(content)))
        want = np.asarray(turned.convert("RGB")).astype(int)
        got = decode(content)
        assert (
            got.shape
            == want.shape
            == (RGB.shape if orientation in (0, 9) or orientation < 5 else (40, 24, 3))
        )
        assert np.abs(got - want).mean() < (12 if format == "JPEG" else 1e-6), format


@pytest.mark.parametrize("byte_order", "<>")
def test_exif_data_of_both_byte_orders(byte_order):
    data = files.exif(6, byte_order)
    rows = encode(RGB)
    content = rows[:33] + files.png_chunk(b"eXIf", data) + rows[33:]
    np.testing.assert_array_equal(decode(content), np.rot90(RGB, -1))
    # At the end of the file, and with the prefix that some writers leave there.
    content = rows[:-12] + files.png_chunk(b"eXIf", b"Exif\0\0" + data) + rows[-12:]
    np.testing.assert_array_equal(decode(content), np.rot90(RGB, -1))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"II",
        b"II*\0",
        files.exif(6)[:9],
        files.exif(6)[:-10],
        b"II*\0" + b"\xff" * 9,
    ],
)
def test_damaged_exif_data_are_no_orientation(data):
    rows = encode(RGB)
    content = rows[:33] + files.png_chunk(b"eXIf", data) + rows[33:]
    np.testing.assert_array_equal(decode(content), RGB)


# === What is refused ===


@pytest.fixture(scope="module")
def bombs():
    return files.bombs()


def test_bombs_are_refused_by_their_headers(bombs):
    messages = "more than|empty|scans|too short|screen|canvas|supported|neither"
    for name, content in bombs.items():
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            decode(content)
        assert "ssertion failed" in error.value.message, name
        assert any(word in error.value.message for word in messages.split("|")), name


def test_a_budget_of_pixels_and_one_of_bytes():
    large = np.zeros((25, 40, 3), "uint8")
    for format in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
        decode(encode(large[1:], format), max_pixels=960)
        refused(encode(large, format), "more than", max_pixels=960)
    content = encode(RGB)
    decode(content, max_bytes=len(content))
    refused(content, "more than.*bytes", max_bytes=len(content) - 1)


def test_wide_images_are_refused():
    decode(files.png(1, 2**15))
    refused(files.png(1, 2**15 + 1), "32768 on a side")
    refused(files.png(2**15 + 1, 1), "32768 on a side")


def test_frames_behind_the_first_cost_nothing():
    gif = files.gif_with_frames(encode(RGB, "GIF"), 5000)
    np.testing.assert_array_equal(decode(gif), by_pillow(encode(RGB, "GIF")))


def test_texts_of_a_png_are_not_unpacked():
    """A decoder of TensorFlow's own would refuse the chunk that is out of place."""
    rows = encode(RGB)
    damaged = rows[:-12] + files.png_chunk(b"PLTE", bytes(3)) + rows[-12:]
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_png(damaged[:33] + damaged[-27:])
    np.testing.assert_array_equal(decode(damaged), RGB)


@pytest.mark.parametrize(
    "content",
    [
        files.bmp([b"\x12"], 4, bytes(64)),
        files.bmp([b"\x12\x34"], 16),
        files.bmp([b"\1\2"], 8, bytes(1024), compression=1),
        files.bmp([b"abcd"], 32, compression=3),
    ],
)
def test_other_bmps_are_refused(content):
    refused(content, "not of 8, 24 or 32 bits without compression")


def test_palettes_of_bmps():
    palette = bytes([1, 2, 3, 0, 4, 5, 6, 0])
    image = decode(files.bmp([b"\0\1"], 8, palette, colors=2))
    np.testing.assert_array_equal(image, [[[3, 2, 1], [6, 5, 4]]])
    refused(files.bmp([b"\0\2"], 8, palette, colors=2), "its palette lacks")
    refused(files.bmp([b"\0\1"], 8, palette), "palette is not whole")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\xff\xd8\xff", b"\x89PNG", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM"),
        *(b"text", b"RIFF\0\0\0\0WEBP", b"RIFF\0\0\0\0WEBPVP8X", bytes(100)),
        *(encode(RGB, format)[:200] for format in ("JPEG", "PNG", "GIF", "BMP")),
        encode(RGB, "WEBP")[:200],
        encode(RGB, "TIFF"),
    ],
)
def test_no_image_is_an_invalid_argument(content):
    refused(content, ".")


# === Batches ===


def test_a_batch_is_decoded_and_preprocessed():
    preprocessor = kcp.preprocessing.ImagePreprocessor((12, 20, 3), mean=0.0, std=1.0)
    batch = tf.constant([encode(RGB), encode(RGB[:, :20], "BMP"), encode(RGBA)])
    images = decode_images(batch, preprocessor).numpy()
    np.testing.assert_allclose(images[0], preprocessor(RGB), atol=1e-6)
    np.testing.assert_allclose(images[1], preprocessor(RGB[:, :20]), atol=1e-6)
    np.testing.assert_array_equal(images[2], images[0])


def test_gray_images_stay_as_they_are_for_a_model_of_one_channel():
    preprocessor = kcp.preprocessing.ImagePreprocessor((24, 40, 1), mean=0.0, std=1.0)
    gray = RGB[..., 0]
    (image,) = decode_images(tf.constant([encode(gray)]), preprocessor).numpy()
    np.testing.assert_allclose(image[..., 0], gray / 255, atol=1e-6)
