"""The functions that an exported model answers."""

import tensorflow as tf

from keras_concatplexer.image_decoding import (
    DEFAULT_MAX_BYTES,
    DEFAULT_MAX_PIXELS,
    can_decode,
    decode_images,
)

CLASSIFY_METHOD = "tensorflow/serving/classify"
# The names of all signatures that take a group per row begin with it.
GROUPS = "serve_groups"


class ServingModule(tf.Module):
    """A model with its preprocessing, as named TF functions.

    | signature | input | outputs |
    |---|---|---|
    | `serving_default` | `images` (B, H, W, C), values 0 to 255 | see below |
    | `serve_groups` | `images` (B, N, H, W, C), a group per row | (B, N, ...) |
    | `serve_bytes` | `image_bytes` (B,), encoded images | as `serving_default` |
    | `classify` | `inputs` (B,), tf.Example with `image/encoded` | `classes` string and `scores` float32, (B, num_classes) |

    An elastic model answers these with its default N. It also has, for each N,
    `predict_n<N>` (as `serving_default`), `serve_bytes_n<N>` and `serve_groups_n<N>`.

    All but `classify` return `features` (float32, (B, width)), where the model tells
    them. A classifier also returns `logits` and `probabilities` (float32,
    (B, num_classes)), `class_ids` (int32, (B,)) and `classes` (string, (B,)), and only
    a classifier has `classify`.

    It holds the variables themselves, not the objects around them, so that each
    weight is stored once.

    Args:
        outputs: dict, N -> function, preprocessed images `(batch_size, *image_shape)`
            -> dict of `features` and `logits`, or one of them, of any float type.
        variables: the `tf.Variable`s that these read.
        preprocessor: `ImagePreprocessor` in front of it.
        class_names: sequence of str, one per class; `None` where there are no logits.
        num_mux: int. The default N, and the images per group of `serve_groups`.
        input_dtype: `"float32"` or `"uint8"`, of `images`.
        max_pixels: int. Encoded images of more pixels are refused.
        max_bytes: int. Encoded images of more bytes are refused.
        mixes_images: bool. Whether an image's answer depends on others: then flat
            images with values that are not finite are refused, because they would
            spoil the answers of their neighbours.

    Attributes:
        num_mux_of: dict, name of a signature -> the N that it answers with.
    """  # noqa: E501

    def __init__(
        self,
        outputs,
        variables,
        preprocessor,
        class_names,
        num_mux,
        input_dtype="float32",
        max_pixels=DEFAULT_MAX_PIXELS,
        max_bytes=DEFAULT_MAX_BYTES,
        mixes_images=False,
    ):
        super().__init__(name="classifier")
        self.weights = list(variables)
        self._preprocessor = preprocessor
        self._class_names = None if class_names is None else list(class_names)
        self._mixes_images = mixes_images
        self._input_dtype = tf.as_dtype(input_dtype)
        self._limits = {"max_pixels": max_pixels, "max_bytes": max_bytes}

        image_shape = preprocessor.image_shape
        # One function per N that all signatures call: traced and stored once.
        spec = tf.TensorSpec((None, *image_shape), tf.float32)
        traced = {
            n: tf.function(function, input_signature=[spec])
            for n, function in outputs.items()
        }
        # Attributes, so that the functions are saved with the module.
        self.traced = list(traced.values())
        images, encoded = self._image_spec(image_shape), _string_spec("image_bytes")
        kinds = {
            ("serving_default", "predict"): (self._flat_images, images),
            (GROUPS, GROUPS): (self._groups, None),
        }
        if can_decode(image_shape):
            kinds["serve_bytes", "serve_bytes"] = (self._bytes, encoded)
        functions = {}
        for (name, name_at), (function, input_spec) in kinds.items():
            by_n = {name: num_mux}
            if len(outputs) > 1:
                by_n |= {f"{name_at}_n{n}": n for n in outputs}
            for signature, n in by_n.items():
                given = input_spec or self._image_spec((n, *image_shape))
                functions[signature] = (function, n, given)
        if can_decode(image_shape) and class_names is not None:
            functions["classify"] = (self._examples, num_mux, _string_spec("inputs"))
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
        return self._outputs(predict, self._preprocessor(images))

    def _flat_images(self, predict, images):
        if self._mixes_images and images.dtype.is_floating:
            finite = tf.reduce_all(tf.math.is_finite(images), axis=(1, 2, 3))
            first = tf.argmin(tf.cast(finite, tf.int32))
            check = tf.debugging.Assert(
                tf.reduce_all(finite), ["Values that are not finite in image", first]
            )
            with tf.control_dependencies([check]):
                images = tf.identity(images)
        return self._images(predict, images)

    def _groups(self, predict, images):
        num_groups, num_mux = tf.shape(images)[0], images.shape[1]
        # (B, N, H, W, C) -> (B * N, H, W, C): each row is one full group.
        flat = tf.reshape(images, (-1, *self._preprocessor.image_shape))
        outputs = self._images(predict, flat)
        # (B * N, ...) -> (B, N, ...)
        return {
            name: tf.reshape(output, (num_groups, num_mux, *output.shape[1:]))
            for name, output in outputs.items()
        }

    def _bytes(self, predict, image_bytes):
        return self._outputs(predict, self._decode(image_bytes))

    def _examples(self, predict, inputs):
        features = tf.io.parse_example(
            inputs, {"image/encoded": tf.io.FixedLenFeature((), tf.string)}
        )
        images = self._decode(features["image/encoded"])
        scores = self._outputs(predict, images)["probabilities"]
        names = tf.constant([self._class_names])
        return {
            "classes": tf.tile(names, (tf.shape(scores)[0], 1)),
            "scores": scores,
        }

    def _image_spec(self, shape):
        return tf.TensorSpec((None, *shape), self._input_dtype, name="images")

    def _decode(self, encoded):
        return decode_images(encoded, self._preprocessor, **self._limits)

    def _outputs(self, predict, images):
        named = {
            name: tf.cast(values, tf.float32)
            for name, values in predict(images).items()
        }
        if self._class_names is None:
            return named
        logits = tf.ensure_shape(named["logits"], (None, len(self._class_names)))
        class_ids = tf.argmax(logits, axis=-1, output_type=tf.int32)
        return {
            **named,
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
