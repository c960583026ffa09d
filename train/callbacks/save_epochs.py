"""The callback that saves each completed epoch."""

import math
import time

import keras

from ..checkpoint import state_variables
from ..evaluation import averaged_weights
from ..workdir import save_model
from .stopping import DIVERGED_ADVICE, TrainingStopped


class SaveEpochs(keras.callbacks.Callback):
    """Saves each epoch: the best and the last model, then the checkpoint.

    The order matters: a run that is killed in between repeats the epoch and
    writes the same models again. Must come after the callbacks that add logs.

    Args:
        checkpoints: `Checkpoints`.
        progress: `Progress` to go on from; changed in place.
        classifier: the model to save, which may be a part of the trained one.
        workdir: `pathlib.Path`, where `best.keras` and `last.keras` go.
        writes: whether this process writes files; only the chief does.
    """

    def __init__(self, checkpoints, progress, classifier, workdir, writes=True):
        super().__init__()
        self.checkpoints, self.progress = checkpoints, progress
        self.classifier, self.workdir = classifier, workdir
        self.writes = writes

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        optimizer, progress = self.model.optimizer, self.progress
        seconds = time.perf_counter() - self.started
        # Accuracies of a small split tie; losses do not.
        loss = float(logs["val_loss"])
        if not math.isfinite(loss):
            raise TrainingStopped(
                f"The validation loss is {loss} after epoch {epoch + 1}, which is not "
                f"kept. {DIVERGED_ADVICE}"
            )
        progress.add(
            {**logs, "learning_rate": optimizer.learning_rate},
            int(keras.ops.convert_to_numpy(optimizer.iterations)),
            seconds,
        )
        improved, progress.best = loss < progress.best, min(loss, progress.best)
        if not self.writes:
            return
        try:
            self._save_models(["best", "last"] if improved else ["last"])
            variables = state_variables(self.classifier, optimizer)
            self.checkpoints.save(variables, progress)
        except OSError as error:
            raise TrainingStopped(
                f"The workdir cannot be written: {error}. Epoch {epoch + 1} is lost, "
                "those before it are kept."
            ) from error

    def _save_models(self, names):
        with averaged_weights(self.model):
            for name in names:
                save_model(self.classifier, self.workdir / f"{name}.keras")
