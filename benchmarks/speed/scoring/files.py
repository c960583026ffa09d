"""JPEG files for the timings: crops of two photographs, with noise."""

import pathlib

import numpy as np

# Of the noise, in values of a pixel: a file is then as large as one of a camera.
NOISE = 8.0


def make_files(folder, number, side):
    """Makes the files that are missing.

    Args:
        folder: path, made.
        number: int.
        side: int, of the images in pixels.

    Returns:
        list of paths.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:05}.jpg" for index in range(number)]
    missing = [index for index, path in enumerate(paths) if not path.exists()]
    if missing:
        _write(paths, missing, side)
    return paths


def _write(paths, missing, side):
    import tensorflow as tf
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    for index in missing:
        rng = np.random.default_rng(index)
        whole = photographs[index % len(photographs)]
        top, left = (rng.integers(0, length - side) for length in whole.shape[:2])
        crop = whole[top : top + side, left : left + side].astype("float32")
        image = np.clip(crop + rng.normal(0, NOISE, crop.shape), 0, 255).astype("uint8")
        part = paths[index].with_suffix(".part")
        part.write_bytes(tf.io.encode_jpeg(image, quality=90).numpy())
        part.replace(paths[index])
