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

    An elastic model also has, for each N, `predict_n<N>` and `serve_bytes_n<N>`: as
    `serving_default` and `serve_bytes`, which answer with the default N.

    All but `classify` return `logits` and `probabilities` (float32, (B, num_classes)),
    `class_ids` (int32, (B,)) and `classes` (string, (B,)).

    It holds the variables themselves, not the objects around them, so that each
    weight is stored once.

    Args:
        predict: dict, N -> function, preprocessed images `(batch_size, *image_shape)`
            -> logits `(batch_size, num_classes)` of any float type.
        variables: the `tf.Variable`s that these read.
        preprocessor: `ImagePreprocessor` in front of it.
        class_names: sequence of str, one per class.
        num_mux: int. The default N, and the images per group of `serve_groups`.
        input_dtype: `"float32"` or `"uint8"`, of `images`.
        max_pixels: int. Encoded images of more pixels are refused.

    Attributes:
        num_mux_of: dict, name of a signature -> the N that it answers with.
    """  # noqa: E501

    def __init__(
        self,
        predict,
        variables,
        preprocessor,
        class_names,
        num_mux,
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
        # One function per N that all signatures call: traced and stored once.
        spec = tf.TensorSpec((None, *image_shape), tf.float32)
        traced = {
            n: tf.function(function, input_signature=[spec])
            for n, function in predict.items()
        }
        # Attributes, so that the functions are saved with the module.
        self.predict = list(traced.values())
        images, encoded = self._image_spec(image_shape), _string_spec("image_bytes")
        groups = self._image_spec((num_mux, *image_shape))
        functions = {
            "serving_default": (self._images, num_mux, images),
            "serve_groups": (self._groups, num_mux, groups),
        }
        if can_decode(image_shape):
            examples = _string_spec("inputs")
            functions["serve_bytes"] = (self._bytes, num_mux, encoded)
            functions["classify"] = (self._examples, num_mux, examples)
        if len(predict) > 1:
            for n in predict:
                functions[f"predict_n{n}"] = (self._images, n, images)
                if can_decode(image_shape):
                    functions[f"serve_bytes_n{n}"] = (self._bytes, n, encoded)
        self.num_mux_of = {name: n for name, (_, n, _) in functions.items()}
        self.functions = {
            name: _traced(function, traced[n], spec)
            for name, (function, n, spec) in functions.items()
        }

    @property
    def signatures(self):
        """dict, name -> concrete function, for `tf.saved_model.save`."""
        return {
            name: function.get_concrete_function()
            for name, function in self.functions.items()
        }

    def _images(self, predict, images):
        return self._outputs(self._logits(predict, self._preprocessor(images)))

    def _groups(self, predict, images):
        num_groups = tf.shape(images)[0]
        # (B, N, H, W, C) -> (B * N, H, W, C): each row is one full group.
        flat = tf.reshape(images, (-1, *self._preprocessor.image_shape))
        outputs = self._images(predict, flat)
        # (B * N, ...) -> (B, N, ...)
        return {
            name: tf.reshape(output, (num_groups, self._num_mux, *output.shape[1:]))
            for name, output in outputs.items()
        }

    def _bytes(self, predict, image_bytes):
        return self._outputs(self._logits(predict, self._decode(image_bytes)))

    def _examples(self, predict, inputs):
        features = tf.io.parse_example(
            inputs, {"image/encoded": tf.io.FixedLenFeature((), tf.string)}
        )
        images = self._decode(features["image/encoded"])
        scores = tf.nn.softmax(self._logits(predict, images))
        names = tf.constant([self._class_names])
        return {
            "classes": tf.tile(names, (tf.shape(scores)[0], 1)),
            "scores": scores,
        }

    def _image_spec(self, shape):
        return tf.TensorSpec((None, *shape), self._input_dtype, name="images")

    def _decode(self, encoded):
        return decode_images(encoded, self._preprocessor, self._max_pixels)

    def _logits(self, predict, images):
        logits = tf.cast(predict(images), tf.float32)
        return tf.ensure_shape(logits, (None, len(self._class_names)))

    def _outputs(self, logits):
        class_ids = tf.argmax(logits, axis=-1, output_type=tf.int32)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "class_ids": class_ids,
            "classes": tf.gather(tf.constant(self._class_names), class_ids),
        }


def _traced(function, predict, spec):
    return tf.function(lambda given: function(predict, given), input_signature=[spec])


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
