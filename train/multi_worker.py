"""Keras models under `MultiWorkerMirroredStrategy`, until Keras can do it itself.

Keras 3 fails in `fit` there (https://github.com/keras-team/keras/issues/20585) for
two reasons: it reduces the first batch over the workers to learn its shapes, and it
averages the logs over an axis that scalars do not have. When both are mended, this
file can go: `distributable(model)` is then `model`.
"""

import keras
import tensorflow as tf


class MultiWorkerMixin:
    """Goes in front of a `keras.Model` class whose models have known shapes."""

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # No batch of the data: an empty one of the same shapes tells as much.
        classifier = getattr(self, "student", self)
        images = tf.zeros((1, *classifier.input_shape[1:]))
        labels = tf.zeros((1, *classifier.output_shape[1:]))
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=(images, labels))

    def train_step(self, data):
        return _with_axis(super().train_step(data))

    def test_step(self, data):
        return _with_axis(super().test_step(data))


class MultiWorkerModel(MultiWorkerMixin, keras.Model):
    """A functional model that can be fitted on several workers."""


def distributable(model):
    """Returns a model around `model` that shares its layers and can be fitted.

    Call it under the strategy's scope.
    """
    # `model` is one layer of it, so that its own `call` is kept.
    inputs = keras.Input(model.input_shape[1:])
    return MultiWorkerModel(inputs, model(inputs), name=model.name)


def _with_axis(logs):
    return tf.nest.map_structure(lambda value: tf.reshape(value, (1,)), logs)
