"""The images that an int8 export is calibrated on: checked, or loaded by name."""

import pathlib
import random

import numpy as np
import tensorflow as tf

from keras_concatplexer.image_decoding import can_decode, decode_images
from keras_concatplexer.preprocessing import ImagePreprocessor

MIN_IMAGES = 32
BATCH_SIZE = 16
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
FOLDER_PREFIX = "folder:"


def check_calibration(images, image_shape):
    """Returns raw images for a calibration as a uint8 array.

    Raises:
        ValueError: unless they are enough images of more than one color.
    """
    if images is None:
        raise ValueError(
            f"precision='int8' needs `calibration`: at least {MIN_IMAGES} images like "
            "those to come. Received: calibration=None"
        )
    images = np.asarray(images)
    if images.shape[1:] != tuple(image_shape) or len(images) < MIN_IMAGES:
        expected = ", ".join(map(str, image_shape))
        raise ValueError(
            f"Expected calibration images of shape (n, {expected}) with n >= "
            f"{MIN_IMAGES}. Received: shape={images.shape}"
        )
    if not np.isfinite(images).all() or images.min() < 0 or images.max() > 255:
        raise ValueError(
            "Expected calibration images with values from 0 to 255. Received: values "
            f"from {images.min()} to {images.max()}"
        )
    if (images == images[:1, :1, :1]).all():
        raise ValueError(
            "All calibration images are of one constant color: they tell no range. "
            f"Received: every pixel is {images[0, 0, 0].tolist()}"
        )
    return np.round(images).astype("uint8")


def preprocessed(images, preprocessor):
    """Returns raw images as the model takes them, float32."""
    starts = range(0, len(images), BATCH_SIZE)
    return np.concatenate(
        [preprocessor(images[start : start + BATCH_SIZE]) for start in starts]
    )


def load_calibration(source, config, image_shape, num_images):
    """Loads images from a folder, or from the dataset of a training.

    Args:
        source: str. A folder of image files, at any depth; or a split of the
            training's dataset; empty for its training split.
        config: dict, the training's configuration (`dataset`, `data_dir`,
            `train_split`).
        image_shape: `(height, width, channels)`.
        num_images: int. As many at most.

    Returns:
        uint8 array `(n, *image_shape)`.

    Raises:
        ValueError: if there are none.
    """
    if not can_decode(image_shape):
        raise ValueError(
            "Images of files have 1 or 3 channels. Calibrate by "
            "`savedmodel_export.export(calibration=...)`. Received: "
            f"image_shape={tuple(image_shape)}"
        )
    if source and pathlib.Path(source).expanduser().is_dir():
        encoded = _files(pathlib.Path(source).expanduser(), num_images)
    else:
        encoded = _of_dataset(source, config, num_images)
    # Resized as for the model, but not normalised: pixels from 0 to 255.
    resize = ImagePreprocessor(image_shape, mean=0.0, std=1 / 255)
    batches = [
        decode_images(tf.constant(encoded[start : start + BATCH_SIZE]), resize)
        for start in range(0, len(encoded), BATCH_SIZE)
    ]
    return np.round(np.clip(np.concatenate(batches), 0, 255)).astype("uint8")


def _files(folder, num_images):
    files = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES
    )
    if not files:
        raise ValueError(
            f"The folder {folder} holds no image files to calibrate on "
            f"({', '.join(SUFFIXES)})."
        )
    # Of all classes, whatever the order of the folders.
    chosen = random.Random(0).sample(files, min(num_images, len(files)))
    return [path.read_bytes() for path in chosen]


def _of_dataset(split, config, num_images):
    name = config.get("dataset")
    if not name:
        raise ValueError(
            "The workdir does not tell the training's dataset. Give "
            f"--calibration=FOLDER. Received: --calibration={split}"
        )
    if name.startswith(FOLDER_PREFIX):
        root = pathlib.Path(name.removeprefix(FOLDER_PREFIX)).expanduser()
        inner = root / (split or "train")
        if split and not inner.is_dir():
            raise ValueError(f"{split} is neither a folder nor a split of {root}.")
        return _files(inner if inner.is_dir() else root, num_images)
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=config.get("data_dir") or None)
    if not builder.is_prepared():
        raise ValueError(
            f"The training's dataset {name} is not prepared in {builder.data_dir}. "
            "Give --calibration=FOLDER, or call from where the training was called."
        )
    examples = builder.as_dataset(
        split or config.get("train_split") or "train",
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    return [example["image"].numpy() for example in examples.take(num_images)]
