"""The one way from an image to a model's input."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ImagePreprocessor(keras.layers.Layer):
    """Resizes, scales and normalises images; the models see its output.

    One layer serves the training data, the evaluation and the exported graph, so
    they cannot differ. It has no weights and computes in float32.

    Args:
        image_shape: `(height, width, channels)` that the model takes, in pixels.
        mean: float, or one per channel, of values in [0, 1].
        std: float, or one per channel, of values in [0, 1]; not 0.
        resizing: `keras.layers.Resizing` for images of another size, or `None`:
            bilinear and antialiased, without regard to the aspect ratio.

    Input shape: `(height, width, channels)` with or without a batch in front,
        integer or float, values from 0 to 255. One channel is repeated where
        the model takes three.
    Output shape: `(*image_shape)`, with the same batch; float32,
        `(value / 255 - mean) / std`.

    Raises:
        ValueError: if an argument does not fit, or the image has another rank or
            number of channels.

    Example:

    >>> layer = ImagePreprocessor((16, 16, 3), mean=0.5, std=0.5)
    >>> layer(np.full((2, 8, 8, 1), 255, "uint8")).shape
    TensorShape([2, 16, 16, 3])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.5,
        resizing: keras.layers.Layer | None = None,
        **kwargs,
    ):
        # Pixels have no place in a half-precision policy.
        super().__init__(**{**kwargs, "dtype": "float32"}, autocast=False)
        self.image_shape = tuple(image_shape)
        if len(self.image_shape) != 3:
            raise ValueError(
                "`image_shape` must be (height, width, channels). Received: "
                f"image_shape={image_shape}"
            )
        self.mean = _per_channel("mean", mean, self.image_shape[-1])
        self.std = _per_channel("std", std, self.image_shape[-1])
        if not np.all(self.std):
            raise ValueError(f"`std` must not be 0. Received: std={std}")
        if isinstance(resizing, dict):
            resizing = keras.saving.deserialize_keras_object(resizing)
        if resizing is not None and (
            (resizing.height, resizing.width) != self.image_shape[:2]
            or resizing.data_format != "channels_last"
        ):
            raise ValueError(
                f"`resizing` must give {self.image_shape[:2]} pixels, channels "
                f"last. Received: {resizing.get_config()}"
            )
        self.resizing = resizing

    def call(self, inputs):
        height, width, channels = self.image_shape
        if len(inputs.shape) not in (3, 4) or inputs.shape[-1] not in (1, channels):
            raise ValueError(
                f"Expected images of shape (height, width, {channels}), with or "
                f"without a batch in front. Received: shape={tuple(inputs.shape)}"
            )
        has_other_size = tuple(inputs.shape[-3:-1]) != (height, width)
        if has_other_size and self.resizing is not None:
            # Keras rounds the values where they are integers.
            inputs = self.resizing(inputs)
        images = ops.cast(inputs, "float32")
        if has_other_size and self.resizing is None:
            images = ops.image.resize(
                images,
                (height, width),
                interpolation="bilinear",
                antialias=True,
                data_format="channels_last",
            )
        if inputs.shape[-1] != channels:
            images = ops.repeat(images, channels, axis=-1)
        mean = ops.convert_to_tensor(self.mean, "float32")
        std = ops.convert_to_tensor(self.std, "float32")
        return (images / 255.0 - mean) / std

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-3], *self.image_shape)

    def get_config(self):
        return {
            "name": self.name,
            "image_shape": self.image_shape,
            "mean": self.mean,
            "std": self.std,
            "resizing": None
            if self.resizing is None
            else keras.saving.serialize_keras_object(self.resizing),
        }


def _per_channel(name, value, num_channels):
    """Returns a float, or a tuple of one float per channel."""
    values = np.asarray(value, "float64")
    if values.shape not in ((), (num_channels,)):
        raise ValueError(
            f"`{name}` must be a number, or one per channel, {num_channels} of them. "
            f"Received: {name}={value}"
        )
    return float(values) if values.ndim == 0 else tuple(map(float, values))
