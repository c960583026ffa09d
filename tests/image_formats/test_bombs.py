"""Time and memory that a hostile file takes, each in a process of its own."""

import multiprocessing
import time
import zlib

import numpy as np
import PIL.Image
import pytest

from tests.image_formats import files
from tests.image_formats.files import encode
from tests.savedmodel_export.test_fuzz import mutate

MAX_SECONDS, MAX_MEBIBYTES = 1.0, 300
SIDE = 4096
NUM_MUTANTS = 5000


def peak_mebibytes():
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(contents, results):
    """Puts (seconds of the slowest file, growth of the peak, number decoded)."""
    import tensorflow as tf

    import keras_concatplexer as kcp
    from keras_concatplexer.image_decoding import decode_images

    preprocessor = kcp.preprocessing.ImagePreprocessor((224, 224, 3))
    decode = tf.function(
        lambda encoded: decode_images(encoded, preprocessor),
        input_signature=[tf.TensorSpec((None,), tf.string)],
    )

    for format in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
        decode(tf.constant([encode(np.zeros((16, 16, 3), "uint8"), format)]))
    before, slowest, num_decoded = peak_mebibytes(), 0.0, 0
    for content in contents:
        started = time.perf_counter()
        try:
            decode(tf.constant([content]))
            num_decoded += 1
        except tf.errors.InvalidArgumentError:
            pass
        slowest = max(slowest, time.perf_counter() - started)
    results.put((slowest, peak_mebibytes() - before, num_decoded))


@pytest.fixture(scope="module")
def cost_of():
    """Function: contents -> what `measure` tells, from a fresh process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["keras_concatplexer.image_decoding"])

    def cost_of(*contents):
        results = context.Queue()
        process = context.Process(target=measure, args=(contents, results))
        process.start()
        answer = results.get(timeout=300)
        process.join()
        return answer

    return cost_of


def largest_images():
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), "uint8")
    return {
        "jpeg": encode(noise, "JPEG", quality=95),
        "jpeg progressive": encode(noise, "JPEG", quality=95, progressive=True),
        "png": encode(noise, compress_level=1),
        "bmp": encode(noise, "BMP"),
        "webp": encode(noise // 8, "WEBP", method=0),
        "gif": encode(noise[..., 0], "GIF"),
    }


def more_bombs():
    """dict, name -> a file that may be decoded, but must not cost more than others."""
    plain = np.zeros((SIDE, SIDE, 3), "uint8")
    small = encode(np.zeros((16, 16, 3), "uint8"))
    text = files.png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(7_900_000), 9))
    rows = zlib.compress(bytes(2**28), 9)
    jpeg = encode(plain, "JPEG", progressive=True)
    half = encode(plain[: SIDE // 2], "JPEG", progressive=True)
    gif = encode(plain[..., 0], "GIF")
    found = {
        "png texts": small[:33] + text * 900 + small[33:],
        "png texts behind": small[:-12] + text * 900 + small[-12:],
        "png rows behind": files.png(8, 8, rows=rows),
        "png wide": files.png(1, 2**15),
        "png high": files.png(2**15, 1),
        "png plain": files.png(SIDE, SIDE, depth=16, color=6),
        "webp plain": encode(plain, "WEBP", lossless=True),
        "jpeg sections": jpeg[:2] + b"\xff\xfe\0\2" * 2**20 + jpeg[2:],
        "jpeg fill": jpeg[:2] + b"\xff" * 2**25 + jpeg[2:],
        "jpeg zeros": jpeg[:2] + bytes(2**25) + jpeg[2:],
        "gif plain": gif,
        "gif blocks": small_gif_blocks(),
        "zeros": bytes(2**26),
        "long": encode(plain[:16, :16], "BMP") + bytes(2**27),
    }
    for number in (2, 50, 99, 1000, 100_000):
        found[f"jpeg {number} scans"] = files.jpeg_with_scans(half, number)
    frame = files.webp_lossless_header(SIDE, SIDE)[12:]
    for number in (10, 100, 1000):
        found[f"gif {number} frames"] = files.gif_with_frames(gif, number)
        found[f"webp {number} frames"] = files.webp(
            files.webp_canvas(SIDE, SIDE, flags=2),
            files.webp_chunk(b"ANIM", bytes(6)),
            *[files.webp_frame(0, 0, SIDE, SIDE, frame)] * number,
        )
    for side in (2**14 - 1, 5000, SIDE, 64):
        found[f"webp header {side}"] = files.webp_lossless_header(side, side)
        for height, width in ((side, side), (1, 2**14), (2**14, 1)):
            found[f"jpeg forged {height} {width} {side}"] = files.jpeg_with_size(
                encode(plain[:16, :16], "JPEG"), height, width
            )
    return found


def small_gif_blocks():
    """A GIF with a comment of a million blocks of one and two bytes."""
    gif = encode(np.zeros((16, 16), "uint8"), "GIF")
    start = files.gif_frame(gif)
    return gif[:start] + b"!\xfe" + b"\1a\2ab" * 2**20 + b"\0" + gif[start:]


@pytest.mark.large
def test_no_file_costs_more_than_the_largest_permitted_image(cost_of):
    largest = [cost_of(content) for content in largest_images().values()]
    assert all(num_decoded == 1 for *_, num_decoded in largest)
    seconds, mebibytes, _ = np.max(largest, axis=0)
    print(f"largest images: {seconds:.2f} s, {mebibytes:.0f} MiB")
    bombs = {**files.bombs(), **more_bombs()}
    assert len(bombs) >= 65
    costs = {name: cost_of(content) for name, content in bombs.items()}
    for name, (slowest, growth, num_decoded) in costs.items():
        print(f"{name}: {slowest:.2f} s, {growth:.0f} MiB, decoded: {num_decoded}")
    for name, (slowest, growth, _) in costs.items():
        assert slowest < seconds + MAX_SECONDS, name
        assert growth < mebibytes + MAX_MEBIBYTES, name


def good_files():
    """dict, name -> a file of 40 x 24 pixels."""
    image = np.random.default_rng(1).integers(0, 256, (24, 40, 3), "uint8")
    formats = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
    more = [PIL.Image.fromarray(image[::-1].copy())]
    return {
        **{format: encode(image, format) for format in formats},
        "progressive": encode(image, "JPEG", progressive=True),
        "palette": encode(image, "BMP", "P"),
        "lossless": encode(image, "WEBP", lossless=True),
        "moving": encode(image, "WEBP", save_all=True, append_images=more),
        "moving gif": encode(image, "GIF", save_all=True, append_images=more),
    }


@pytest.mark.large
def test_no_mutant_costs_more_than_a_second(cost_of):
    mutants = mutate(good_files(), NUM_MUTANTS, seed=5)
    slowest, growth, num_decoded = cost_of(*mutants)
    print(f"mutants: {num_decoded} decoded, {slowest:.2f} s, {growth:.0f} MiB")
    assert 0 < num_decoded < NUM_MUTANTS
    assert slowest < MAX_SECONDS and growth < MAX_MEBIBYTES
