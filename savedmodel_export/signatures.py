"""The functions that an exported model answers."""

import tensorflow as tf


class ServingModule(tf.Module):
    """A trained classifier with its preprocessing, as named TF functions.

    It holds the model's variables themselves, not the Keras objects around them,
    so that each weight is stored once.

    Args:
        model: Keras classifier, images -> logits `(batch_size, num_classes)`.
        preprocessor: `ImagePreprocessor` in front of it.
        class_names: sequence of str, one per class.
    """

    def __init__(self, model, preprocessor, class_names):
        super().__init__(name="classifier")
        self.weights = [variable.value for variable in model.variables]
        self._class_names = list(class_names)

        image_spec = tf.TensorSpec(
            (None, *preprocessor.image_shape), tf.float32, name="images"
        )

        @tf.function(input_signature=[image_spec])
        def serving_default(images):
            """Flat images, values 0 to 255, one row of answers per image."""
            return self._outputs(model(preprocessor(images), training=False))

        self.serving_default = serving_default

    @property
    def signatures(self):
        """dict, name -> concrete function, for `tf.saved_model.save`."""
        return {"serving_default": self.serving_default.get_concrete_function()}

    def _outputs(self, logits):
        logits = tf.cast(logits, tf.float32)
        class_ids = tf.argmax(logits, axis=-1, output_type=tf.int32)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "class_ids": class_ids,
            "classes": tf.gather(tf.constant(self._class_names), class_ids),
        }
