"""The images that an int8 export is calibrated on: checked, or loaded by name."""

import pathlib
import random

import numpy as np
import tensorflow as tf

from keras_concatplexer.bundle import CALIBRATION_FILE, read_json
from keras_concatplexer.image_decoding import can_decode, decode_images
from keras_concatplexer.preprocessing import ImagePreprocessor
from keras_concatplexer.reasons import reason_of
from savedmodel_export.image_names import IMAGES, has_image_name, is_system

MIN_IMAGES = 32
BATCH_SIZE = 16
FOLDER_PREFIX = "folder:"


def check_calibration(images, image_shape):
    """Returns raw images for a calibration as a uint8 array.

    Raises:
        ValueError: unless they are enough different images with values from 0 to 255.
    """
    if images is None:
        raise ValueError(
            f"precision='int8' needs `calibration`: at least {MIN_IMAGES} images like "
            "those to come. Received: calibration=None"
        )
    expected = ", ".join(map(str, image_shape))
    expected = f"calibration images of shape (n, {expected}) with n >= {MIN_IMAGES}"
    try:
        images = np.asarray(images)
    except ValueError as error:
        raise ValueError(f"Expected {expected}. Received: {error}") from None
    if images.shape[1:] != tuple(image_shape) or len(images) < MIN_IMAGES:
        raise ValueError(f"Expected {expected}. Received: shape={images.shape}")
    if images.dtype.kind not in "iuf":
        raise ValueError(f"Expected {expected}, numbers. Received: {images.dtype}")
    least, largest = images.min(), images.max()
    if not np.isfinite(images).all() or least < 0 or not 1 < largest <= 255:
        raise ValueError(
            "Expected calibration images with values from 0 to 255, before any "
            f"preprocessing. Received: values from {least} to {largest}"
        )
    if (images == images[:, :1, :1]).all():
        raise ValueError(
            "All calibration images are of one constant color: they tell no range. "
            f"Received: every pixel of the first is {images[0, 0, 0].tolist()}"
        )
    images = np.round(images).astype("uint8")
    different = len({image.tobytes() for image in images})
    if different < MIN_IMAGES:
        raise ValueError(
            f"Expected at least {MIN_IMAGES} different calibration images. Received: "
            f"{different} different among {len(images)}"
        )
    return images


def preprocessed(images, preprocessor):
    """Returns raw images as the model takes them, float32."""
    starts = range(0, len(images), BATCH_SIZE)
    return np.concatenate(
        [preprocessor(images[start : start + BATCH_SIZE]) for start in starts]
    )


def load_calibration(source, workdir, image_shape, num_images):
    """Loads images from a folder, or from the dataset of a training.

    Args:
        source: str. A folder of image files, at any depth; or a split of the
            training's dataset; empty for the images that it was trained on.
        workdir: path of the training.
        image_shape: `(height, width, channels)`.
        num_images: int. As many at most.

    Returns:
        uint8 array `(n, *image_shape)`.

    Raises:
        ValueError: if there are none, or one cannot be decoded.
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
        encoded = _of_dataset(source, pathlib.Path(workdir), num_images)
    # Resized as for the model, but not normalised: pixels from 0 to 255.
    resize = ImagePreprocessor(image_shape, mean=0.0, std=1 / 255)
    decode = tf.function(lambda contents: decode_images(contents, resize))
    pixels = [_decoded(decode, name, content) for name, content in encoded]
    return np.round(np.clip(pixels, 0, 255)).astype("uint8")


def _decoded(decode, name, content):
    try:
        return decode(tf.constant([content]))[0].numpy()
    except tf.errors.OpError as error:
        raise ValueError(
            f"The calibration image {name} cannot be decoded: {reason_of(error)}. "
            "Mend or remove it."
        ) from None


def _files(folder, num_images):
    paths = sorted(
        path
        for path in folder.rglob("*")
        if has_image_name(path.name)
        and path.is_file()
        and not any(map(is_system, path.relative_to(folder).parts))
    )
    if not paths:
        raise ValueError(
            f"The folder {folder} holds no image files to calibrate on "
            f"({', '.join(IMAGES)})."
        )
    # Of all classes, whatever the order of the folders.
    return _read(_some(paths, num_images))


def _some(paths, num_images):
    return random.Random(0).sample(paths, min(num_images, len(paths)))


def _read(paths):
    try:
        return [(path, path.read_bytes()) for path in paths]
    except OSError as error:
        raise ValueError(
            f"A calibration image cannot be read: {error}. Give --calibration=FOLDER."
        ) from None


def _of_dataset(split, workdir, num_images):
    path = workdir / "config.json"
    config = read_json(path) if path.is_file() else {}
    name = config.get("dataset")
    if not name:
        raise ValueError(
            "The workdir does not tell the training's dataset. Give "
            f"--calibration=FOLDER. Received: --calibration={split}"
        )
    if name.startswith(FOLDER_PREFIX):
        root = pathlib.Path(name.removeprefix(FOLDER_PREFIX)).expanduser()
        if not split:
            paths = [root / path for path in _trained_on(workdir, "files", list)]
            return _read(_some(paths, num_images))
        if not (root / split).is_dir():
            raise ValueError(f"{split} is neither a folder nor a split of {root}.")
        return _files(root / split, num_images)
    import tensorflow_datasets as tfds

    split = split or _trained_on(workdir, "split", str)
    builder = tfds.builder(name, data_dir=config.get("data_dir") or None)
    if not builder.is_prepared():
        raise ValueError(
            f"The training's dataset {name} is not prepared in {builder.data_dir}. "
            "Give --calibration=FOLDER, or call from where the training was called."
        )
    examples = builder.as_dataset(
        split=split,
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    return [
        (f"{index} of {name}", example["image"].numpy())
        for index, example in enumerate(examples.take(num_images))
    ]


def _trained_on(workdir, name, kind):
    """Returns the entry of the file in which a training tells its images."""
    path = workdir / CALIBRATION_FILE
    if not path.is_file():
        raise ValueError(
            f"{workdir} does not tell which images it was trained on: it has no "
            f"{CALIBRATION_FILE}. Give --calibration=FOLDER, or a split."
        )
    told = read_json(path).get(name)
    if not isinstance(told, kind) or not all(isinstance(text, str) for text in told):
        raise ValueError(
            f"{path} is damaged: expected {name!r} of the training's images. Give "
            "--calibration=FOLDER, or a split."
        )
    return told
