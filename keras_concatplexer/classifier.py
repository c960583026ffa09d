"""What every classifier of images does here: check its images, keep its settings."""

import warnings

import keras
import numpy as np
from keras import ops

# Normalised images lie far below, pixels from 0 to 255 far above.
LARGE_VALUE = 16


class ImageClassifier(keras.Model):
    """Base of functional classifiers that are rebuilt from their arguments.

    A model that is rebuilt has new layers, which are neither frozen nor quantized.
    Its config therefore tells beside the constructor's arguments, as `"frozen"` and
    `"quantization"`, what was frozen later and whether `quantize` was called. Without
    that a file would lose the freezing, and with it the optimizer's state, which has
    an entry per trainable weight.

    A subclass calls `note_weights` at the end of its constructor, and tells its
    `head_layer`.
    """

    _quantization = None
    _features = None

    # === Features ===

    @property
    def head_layer(self):
        """The layer of this model's graph behind the features."""
        raise NotImplementedError

    @property
    def features(self):
        """Model, images -> float32 features `(batch_size, hidden_dim)`.

        What stands in front of the classifier's dense layer; of a model that was
        built without one (`num_classes=None`), its own output. It shares this model's
        weights.
        """
        if self._features is None:
            head = self.head_layer
            tensor = head.input if is_classifier(self) else head.output
            model = keras.Model(
                self.input,
                keras.layers.Identity(dtype="float32", name="features")(tensor),
                name=f"{self.name}_features",
            )
            # Kept out of Keras' tracking: its layers are this model's.
            object.__setattr__(self, "_features", model)
        return self._features

    # === Images ===

    def __call__(self, inputs, *args, **kwargs):
        return super().__call__(self._checked(inputs), *args, **kwargs)

    def _checked(self, images):
        """Returns the images if they have the model's shape.

        Keras' own message would print every pixel.

        Raises:
            ValueError: if they have another, or there are none.
        """
        shape = getattr(images, "shape", None)
        if shape is None:
            return images
        if getattr(shape, "rank", 0) is None:
            # A generator does not tell the shapes of its arrays.
            return ops.reshape(images, (-1, *self.input_shape[1:]))
        if tuple(shape)[1:] != self.input_shape[1:] or 0 in tuple(shape):
            height, width, channels = self.input_shape[1:]
            raise ValueError(
                f"Expected images of shape (batch_size, {height}, {width}, {channels})"
                ", one at least, as `preprocessing.ImagePreprocessor` makes them. "
                f"Received: shape={tuple(shape)}"
            )
        return images

    def fit(self, x=None, *args, **kwargs):
        self._check_array(x)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        self._check_array(x)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        self._check_array(x)
        return super().predict(x, *args, **kwargs)

    def _check_array(self, images):
        if isinstance(images, np.ndarray):
            self._checked(images)
            _warn_of_pixels(images)

    # === Saving ===

    def note_weights(self):
        """Remembers which weights are not trainable by themselves."""
        self._fixed_weights = self._untrainable()

    def graphs(self):
        """Returns list of the functional models whose layers may be frozen."""
        return [self]

    def quantize(self, mode=None, config=None, filters=None, **kwargs):
        """Quantizes the model as `keras.Model.quantize` does; its file remembers it.

        Raises:
            ValueError: if there are `filters`: a file could not tell which layers.
        """
        if filters is not None:
            raise ValueError(
                "`filters` cannot be kept in a model's file. Quantize the whole model. "
                f"Received: filters={filters!r}"
            )
        super().quantize(mode, config=config, **kwargs)
        # Keras makes a config of a mode before it calls this method.
        self._quantization = keras.saving.serialize_keras_object(config)
        self.note_weights()

    def get_config(self):
        config = {"name": self.name}
        if self._quantization is not None:
            config["quantization"] = self._quantization
        layers = [
            [layer.name for layer in graph.layers if not layer.trainable]
            for graph in self.graphs()
        ]
        weights = self._untrainable()
        if not self.trainable or any(layers) or weights != self._fixed_weights:
            config["frozen"] = {
                "model": not self.trainable,
                "layers": layers,
                "weights": weights,
            }
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        arguments = cls.read_config(config, custom_objects)
        quantization = arguments.pop("quantization", None)
        frozen = arguments.pop("frozen", None)
        model = cls(**arguments)
        if quantization is not None:
            model.quantize(config=keras.saving.deserialize_keras_object(quantization))
        if frozen is not None:
            model._freeze(**frozen)
        return model

    @classmethod
    def read_config(cls, config, custom_objects=None):
        """Returns a config as arguments of the constructor, in a new dict."""
        return dict(config)

    def _freeze(self, model, layers, weights):
        if model:
            self.trainable = False
        for graph, names in zip(self.graphs(), layers, strict=True):
            for name in names:
                graph.get_layer(name).trainable = False
        # The last word: a frozen layer may hold a weight that is not.
        for index, weight in enumerate(self.weights):
            weight.trainable = index not in weights

    def _untrainable(self):
        return [
            index for index, weight in enumerate(self.weights) if not weight.trainable
        ]


def is_classifier(model):
    """Whether a model answers with logits; else with features."""
    return not isinstance(model, ImageClassifier) or bool(model.head_layer.weights)


def _warn_of_pixels(images):
    """Warns where the first image of an array is one of pixels from 0 to 255."""
    if images.dtype.kind in "iu" or np.max(images[0]) > LARGE_VALUE:
        warnings.warn(
            "These images look like pixels from 0 to 255; the model takes normalised "
            "ones, as `preprocessing.ImagePreprocessor` makes them. Received: "
            f"dtype={images.dtype}, largest value of the first image "
            f"{np.max(images[0])}",
            stacklevel=4,
        )
