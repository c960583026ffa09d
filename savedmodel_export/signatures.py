"""The functions that an exported model answers."""

import tensorflow as tf

from savedmodel_export.decoding import DEFAULT_MAX_PIXELS, can_decode, decode_images

CLASSIFY_METHOD = "tensorflow/serving/classify"
INPUT_DTYPES = ("float32", "uint8")


class ServingModule(tf.Module):
    """A classifier with its preprocessing, as named TF functions.

    | signature | input | outputs |
    |---|---|---|
    | `serving_default` | `images` (B, H, W, C), values 0 to 255 | see below |
    | `serve_groups` | `images` (B, N, H, W, C), a group per row | (B, N, ...) |
    | `serve_bytes` | `image_bytes` (B,), encoded images | as `serving_default` |
    | `classify` | `inputs` (B,), tf.Example with `image/encoded` | `classes` string and `scores` float32, (B, num_classes) |

    The first three return `logits` and `probabilities` (float32, (B, num_classes)),
    `class_ids` (int32, (B,)) and `classes` (string, (B,)).

    It holds the variables themselves, not the objects around them, so that each
    weight is stored once.

    Args:
        predict: function, preprocessed images `(batch_size, *image_shape)` -> logits
            `(batch_size, num_classes)` of any float type.
        variables: the `tf.Variable`s that `predict` reads.
        preprocessor: `ImagePreprocessor` in front of it.
        class_names: sequence of str, one per class.
        num_mux: int. Images per group of `serve_groups`.
        input_dtype: `"float32"` or `"uint8"`, of `images`.
        max_pixels: int. Encoded images of more pixels are refused.
    """  # noqa: E501

    def __init__(
        self,
        predict,
        variables,
        preprocessor,
        class_names,
        num_mux=1,
        input_dtype="float32",
        max_pixels=DEFAULT_MAX_PIXELS,
    ):
        super().__init__(name="classifier")
        self.weights = list(variables)
        self._preprocessor = preprocessor
        self._class_names = list(class_names)
        self._num_mux = num_mux
        self._input_dtype = tf.as_dtype(input_dtype)
        self._max_pixels = max_pixels

        image_shape = preprocessor.image_shape
        # One function that all signatures call: it is traced and stored once.
        self.predict = tf.function(
            predict, input_signature=[tf.TensorSpec((None, *image_shape), tf.float32)]
        )
        functions = {
            "serving_default": (self._images, self._image_spec(image_shape)),
            "serve_groups": (self._groups, self._image_spec((num_mux, *image_shape))),
        }
        if can_decode(image_shape):
            functions["serve_bytes"] = (self._bytes, _string_spec("image_bytes"))
            functions["classify"] = (self._examples, _string_spec("inputs"))
        # An attribute, so that the functions are saved with the module.
        self.functions = {
            name: tf.function(function, input_signature=[spec])
            for name, (function, spec) in functions.items()
        }

    @property
    def signatures(self):
        """dict, name -> concrete function, for `tf.saved_model.save`."""
        return {
            name: function.get_concrete_function()
            for name, function in self.functions.items()
        }

    def _images(self, images):
        return self._outputs(self._logits(self._preprocessor(images)))

    def _groups(self, images):
        num_groups = tf.shape(images)[0]
        # (B, N, H, W, C) -> (B * N, H, W, C): each row is one full group.
        flat = tf.reshape(images, (-1, *self._preprocessor.image_shape))
        outputs = self._outputs(self._logits(self._preprocessor(flat)))
        # (B * N, ...) -> (B, N, ...)
        return {
            name: tf.reshape(output, (num_groups, self._num_mux, *output.shape[1:]))
            for name, output in outputs.items()
        }

    def _bytes(self, image_bytes):
        return self._outputs(self._logits(self._decode(image_bytes)))

    def _examples(self, inputs):
        features = tf.io.parse_example(
            inputs, {"image/encoded": tf.io.FixedLenFeature((), tf.string)}
        )
        scores = tf.nn.softmax(self._logits(self._decode(features["image/encoded"])))
        names = tf.constant([self._class_names])
        return {
            "classes": tf.tile(names, (tf.shape(scores)[0], 1)),
            "scores": scores,
        }

    def _image_spec(self, shape):
        return tf.TensorSpec((None, *shape), self._input_dtype, name="images")

    def _decode(self, encoded):
        return decode_images(encoded, self._preprocessor, self._max_pixels)

    def _logits(self, images):
        logits = tf.cast(self.predict(images), tf.float32)
        return tf.ensure_shape(logits, (None, len(self._class_names)))

    def _outputs(self, logits):
        class_ids = tf.argmax(logits, axis=-1, output_type=tf.int32)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "class_ids": class_ids,
            "classes": tf.gather(tf.constant(self._class_names), class_ids),
        }


def save(module, folder):
    """Writes a `ServingModule` as a SavedModel into `folder`."""
    signatures = module.signatures
    tf.saved_model.save(module, folder, signatures=signatures)
    if "classify" in signatures:
        # The server's Classify call may ask for this method; `save` knows only one.
        updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(folder)
        updater.replace_method_name("classify", CLASSIFY_METHOD, tags="serve")
        updater.save()


def input_spec(function):
    """Returns the `tf.TensorSpec`, with its name, of a signature's one input."""
    (spec,) = tf.nest.flatten(function.structured_input_signature)
    return spec


def _string_spec(name):
    return tf.TensorSpec((None,), tf.string, name=name)
