"""What a training measures beside its losses and metrics."""

import time

import keras
import tensorflow as tf


class Throughput(keras.callbacks.Callback):
    """Adds `images_per_second` of the training steps to the logs.

    Args:
        batch_size: int, images per step of all replicas.
    """

    def __init__(self, batch_size):
        super().__init__()
        self.batch_size = batch_size

    def on_epoch_begin(self, epoch, logs=None):
        self.steps, self.started = 0, time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        # With several steps per execution, `batch` is the last of them.
        self.steps, self.ended = batch + 1, time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = self.ended - self.started
        logs["images_per_second"] = self.steps * self.batch_size / seconds


class GradientNorm(keras.callbacks.Callback):
    """Adds `gradient_norm`, of one fixed batch at the epoch's end, to the logs.

    Args:
        classifier: the model.
        loss: `keras.losses.Loss`.
        images: array `(batch_size, H, W, C)`.
        labels: array or tensor, what the loss compares the answers with.
    """

    def __init__(self, classifier, loss, images, labels):
        super().__init__()
        self.classifier, self.loss = classifier, loss
        self.batch = (tf.constant(images), tf.constant(labels))
        self.norm = tf.function(self._norm)

    def on_epoch_end(self, epoch, logs=None):
        logs["gradient_norm"] = float(self.norm(*self.batch))

    def _norm(self, images, labels):
        weights = [weight.value for weight in self.classifier.trainable_variables]
        with tf.GradientTape() as tape:
            loss = self.loss(labels, self.classifier(images, training=False))
        return tf.linalg.global_norm(tape.gradient(loss, weights))


class Profile(keras.callbacks.Callback):
    """Traces some steps for TensorBoard's profiler.

    Args:
        folder: TensorBoard's folder.
        start: int. The first step, counted from 1 where this training begins.
        stop: int. The last one.
    """

    def __init__(self, folder, start, stop):
        super().__init__()
        self.folder, self.start, self.stop = str(folder), start, stop
        self.steps, self.is_tracing = 0, False

    def on_epoch_begin(self, epoch, logs=None):
        self.before = self.steps

    def on_train_batch_begin(self, batch, logs=None):
        if not self.is_tracing and self.before + batch + 1 == self.start:
            tf.profiler.experimental.start(self.folder)
            self.is_tracing = True

    def on_train_batch_end(self, batch, logs=None):
        self.steps = self.before + batch + 1
        if self.steps >= self.stop:
            self._end()

    def on_train_end(self, logs=None):
        self._end()

    def _end(self):
        if self.is_tracing:
            tf.profiler.experimental.stop()
            self.is_tracing = False
