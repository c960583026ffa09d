"""What TensorBoard shows of a run, beside the logs that Keras writes by itself."""

import dataclasses
import importlib.util
import json
import math
import time

import keras
import tensorflow as tf

MAX_GRID_IMAGES = 16
MAX_NAMED_CLASSES = 30


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


class RunDescription(keras.callbacks.Callback):
    """Writes settings, the model's stages and its cost when training begins.

    Args:
        folder: TensorBoard's folder of the training logs.
        config: `Config`.
        classifier: the model.
        cost: its `keras_concatplexer.flops.Cost`.
    """

    def __init__(self, folder, config, classifier, cost):
        super().__init__()
        self.folder, self.config = str(folder), config
        self.classifier, self.cost = classifier, cost

    def on_train_begin(self, logs=None):
        from tensorboard.plugins.hparams import api as hparams

        settings = dataclasses.asdict(self.config)
        with tf.summary.create_file_writer(self.folder).as_default(step=0):
            # It knows single values only.
            hparams.hparams(
                {
                    name: str(value) if isinstance(value, tuple) else value
                    for name, value in settings.items()
                }
            )
            tf.summary.text("config", _as_code(json.dumps(settings, indent=2)))
            tf.summary.text("model", _as_code(describe(self.classifier, self.cost)))
            tf.summary.scalar("gmacs_per_image", self.cost.gmacs_per_image)


def describe(classifier, cost):
    """Returns the model's summary, and what each stage costs, as text."""
    lines = []
    classifier.summary(line_length=100, print_fn=lines.append)
    lines.append("GMACs per image:")
    lines += [f"  {name:14} {macs / 1e9:.6f}" for name, macs in cost.stages.items()]
    return "\n".join(lines)


def can_draw():
    """Whether matplotlib, which draws the images, is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def write_images(folder, step, class_names, num_mux, images, labels, predictions):
    """Writes a grid of groups and the confusion matrix of an evaluation.

    Args:
        folder: TensorBoard's folder.
        step: int, the epoch.
        class_names: tuple of str.
        num_mux: int, images per row of the grid.
        images: array `(num_images, H, W, C)` of values in [0, 1]; the first are
            shown.
        labels: int array `(num_examples,)`.
        predictions: int array `(num_examples,)`.
    """
    confusion = tf.math.confusion_matrix(labels, predictions, len(class_names)).numpy()
    grid = group_grid(images, labels, predictions, class_names, num_mux)
    with tf.summary.create_file_writer(str(folder)).as_default(step=step):
        tf.summary.image("groups", grid)
        tf.summary.image("confusion_matrix", confusion_image(confusion, class_names))


def group_grid(images, labels, predictions, class_names, num_mux):
    """Draws groups: a row holds the images of one sequence, or four of a ViT.

    Returns:
        uint8 array `(1, height, width, 3)`.
    """
    from matplotlib.figure import Figure

    columns = num_mux if num_mux > 1 else 4
    shown = min(len(images), MAX_GRID_IMAGES)
    rows = math.ceil(shown / columns)
    figure = Figure(figsize=(1.6 * columns, 1.8 * rows), layout="constrained")
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if index >= shown:
            continue
        true, predicted = class_names[labels[index]], class_names[predictions[index]]
        axes.imshow(images[index], cmap="gray", vmin=0, vmax=1)
        color = "black" if true == predicted else "red"
        title = f"{true} > {predicted}"
        axes.set_title(title, fontsize=8, color=color, parse_math=False)
    return _pixels(figure)


def confusion_image(confusion, class_names):
    """Draws a confusion matrix: rows are true classes, columns predicted ones.

    Returns:
        uint8 array `(1, height, width, 3)`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(confusion, cmap="Blues")
    axes.set(xlabel="predicted", ylabel="true")
    if len(class_names) <= MAX_NAMED_CLASSES:
        ticks = range(len(class_names))
        axes.set_xticks(ticks, class_names, rotation=90, parse_math=False)
        axes.set_yticks(ticks, class_names, parse_math=False)
    return _pixels(figure)


def _pixels(figure):
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[None, ..., :3]


def _as_code(text):
    return "\n".join(f"    {line}" for line in text.splitlines())
