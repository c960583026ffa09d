"""What TensorBoard shows of a run: one run per workdir, its tags in groups."""

import importlib.util
import re

import keras
import tensorflow as tf

from keras_concatplexer.analysis import pictures

from .dashboard import describe, hparams_of, hparams_shown, layout, settings_table

# The name of a metric -> group of its tag, and what the tag has in front.
_GROUPS = {
    "loss": ("loss", ""),
    "accuracy": ("accuracy", ""),
    "top5_accuracy": ("accuracy", "top5_"),
    "slot_accuracy": ("slots", ""),
    "cosine": ("cosine", ""),
}
_OTHERS = {
    "images_per_second": "speed/images_per_second",
    "learning_rate": "optimizer/learning_rate",
    "gradient_norm": "optimizer/gradient_norm",
}
_NAME = re.compile(
    rf"(?P<val>val_)?(?P<metric>{'|'.join(_GROUPS)})"
    r"(?:_(?P<slot>\d+))?(?:_n(?P<num_mux>\d+))?"
)


def tag_of(name, split="train"):
    """Returns the tag of a value in Keras' logs.

    `val_slot_accuracy_1_n4` -> `slots/validation_n4_slot1`.

    Args:
        name: str, as in the logs.
        split: str. Where the value is from, unless the name begins with `val_`.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return _OTHERS.get(name, f"other/{name}")
    group, start = _GROUPS[found["metric"]]
    tag = f"{group}/{start}{'validation' if found['val'] else split}"
    if found["num_mux"]:
        tag += f"_n{found['num_mux']}"
    return f"{tag}_slot{found['slot']}" if found["slot"] else tag


def _write_scalars(values, step, split="train"):
    for name, value in values.items():
        tf.summary.scalar(tag_of(name, split), value, step=step)


class TensorBoard(keras.callbacks.Callback):
    """Writes a run's settings, model and cost, and what each epoch came to.

    The step is the number of completed epochs.

    Args:
        folder: TensorBoard's folder.
        name: str, the run's among others.
        config: `Config`.
        classifier: the model.
        cost: its `keras_concatplexer.flops.Cost`.
    """

    def __init__(self, folder, name, config, classifier, cost):
        super().__init__()
        self.folder, self.name, self.config = str(folder), name, config
        self.classifier, self.cost = classifier, cost

    def on_train_begin(self, logs=None):
        from tensorboard.plugins.hparams import api as hparams

        self.writer = tf.summary.create_file_writer(self.folder)
        with self.writer.as_default(step=0):
            hparams.hparams_config(**hparams_shown())
            hparams.hparams(hparams_of(self.config), trial_id=self.name)
            tf.summary.experimental.write_raw_pb(
                layout(self.config).SerializeToString()
            )
            tf.summary.text("run/settings", settings_table(self.config))
            tf.summary.text("run/model", describe(self.classifier, self.cost))
            tf.summary.scalar("speed/gmacs_per_image", self.cost.gmacs_per_image)

    def on_epoch_end(self, epoch, logs=None):
        rate = float(self.model.optimizer.learning_rate)
        with self.writer.as_default():
            _write_scalars({**logs, "learning_rate": rate}, step=epoch + 1)
        self.writer.flush()

    def on_train_end(self, logs=None):
        self.writer.close()


def can_draw():
    """Whether matplotlib, which draws the images, is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def write_scores(folder, step, per_num_mux):
    """Writes the scores on the test split.

    Args:
        folder: TensorBoard's folder.
        step: int, the number of completed epochs.
        per_num_mux: dict, N -> dict of the best model's loss and accuracies; the
            first is what the run is known by.
    """
    with tf.summary.create_file_writer(str(folder)).as_default():
        _write_scalars(next(iter(per_num_mux.values())), step, "test")
        if len(per_num_mux) > 1:
            for num_mux, scores in per_num_mux.items():
                named = {f"{name}_n{num_mux}": value for name, value in scores.items()}
                _write_scalars(named, step, "test")


def write_images(folder, step, class_names, num_mux, images, labels, predictions):
    """Writes groups of images and the confusion matrix of an evaluation.

    Args:
        folder: TensorBoard's folder.
        step: int, the number of completed epochs.
        class_names: tuple of str.
        num_mux: int, images per group.
        images: array `(num_images, H, W, C)` of values in [0, 1]; the first are
            shown.
        labels: int array `(num_examples,)`.
        predictions: int array `(num_examples,)`.
    """
    drawn = {
        "test/groups": pictures.draw_groups(
            images, labels, predictions, class_names, num_mux
        ),
        "test/confusion": pictures.draw_confusion(labels, predictions, class_names),
    }
    with tf.summary.create_file_writer(str(folder)).as_default(step=step):
        for name, figure in drawn.items():
            tf.summary.image(name, pictures.pixels(figure)[None])
