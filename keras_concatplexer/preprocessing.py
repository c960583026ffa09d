"""The one way from an image to a model's input."""

import keras
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

    Input shape: `(height, width, channels)` with or without a batch in front,
        integer or float, values from 0 to 255. One channel is repeated where
        the model takes three.
    Output shape: `(*image_shape)`, with the same batch; float32,
        `(value / 255 - mean) / std`.

    Raises:
        ValueError: if an argument is not as above, or the image has another rank
            or number of channels.

    Example:

    >>> layer = ImagePreprocessor((16, 16, 3), mean=0.5, std=0.5)
    >>> layer(np.full((2, 8, 8, 1), 255, "uint8")).shape
    TensorShape([2, 16, 16, 3])
    """

    def __init__(self, image_shape, mean=0.5, std=0.5, **kwargs):
        # Pixels have no place in a half-precision policy.
        super().__init__(**{**kwargs, "dtype": "float32"}, autocast=False)
        self.image_shape = tuple(image_shape)
        if len(self.image_shape) != 3:
            raise ValueError(
                "`image_shape` must be (height, width, channels). Received: "
                f"image_shape={image_shape}"
            )
        self.mean = mean if isinstance(mean, float) else tuple(mean)
        self.std = std if isinstance(std, float) else tuple(std)
        if 0.0 in (self.std if isinstance(self.std, tuple) else (self.std,)):
            raise ValueError(f"`std` must not be 0. Received: std={std}")

    def call(self, inputs):
        height, width, channels = self.image_shape
        if len(inputs.shape) not in (3, 4) or inputs.shape[-1] not in (1, channels):
            raise ValueError(
                f"Expected images of shape (height, width, {channels}), with or "
                f"without a batch in front. Received: shape={tuple(inputs.shape)}"
            )
        images = ops.cast(inputs, "float32")
        if tuple(inputs.shape[-3:-1]) != (height, width):
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
        }
