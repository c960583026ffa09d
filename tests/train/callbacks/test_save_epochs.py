import errno

import keras
import numpy as np
import pytest

from train.callbacks.save_epochs import SaveEpochs
from train.callbacks.stopping import TrainingStopped
from train.checkpoint import Checkpoints, Progress


@pytest.fixture
def fit(tmp_path):
    """Function: validation losses -> the progress of a run that has them."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    progress = Progress()

    class Losses(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = self.losses[epoch]

    def run(*losses, writes=True):
        give = Losses()
        give.losses = losses
        save = SaveEpochs(Checkpoints(tmp_path), progress, model, tmp_path, writes)
        model.fit(
            *(np.ones((4, 3)), np.ones((4, 2))),
            epochs=len(losses),
            callbacks=[give, save],
            verbose=0,
        )
        return progress

    run.progress = progress
    return run


def test_the_best_and_the_last_epoch_are_kept(fit, tmp_path):
    progress = fit(2.0, 1.0, 3.0)
    assert (progress.epochs, progress.steps, progress.best) == (3, 3, 1.0)
    assert progress.history["val_loss"] == [2.0, 1.0, 3.0]
    assert progress.history["learning_rate"] == pytest.approx([1e-3] * 3)
    assert Progress.of(Checkpoints(tmp_path).newest()) == progress
    written = {name: (tmp_path / f"{name}.keras").stat() for name in ("best", "last")}
    assert written["best"].st_mtime_ns < written["last"].st_mtime_ns


def test_other_workers_count_and_write_nothing(fit, tmp_path):
    assert fit(2.0, writes=False).epochs == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_a_validation_loss_that_is_not_finite_completes_no_epoch(fit, tmp_path, loss):
    message = "validation loss is (nan|inf) after epoch 2.*lower --learning_rate"
    with pytest.raises(TrainingStopped, match=message):
        fit(1.0, loss)
    assert fit.progress.epochs == 1
    assert Progress.of(Checkpoints(tmp_path).newest()) == fit.progress


def test_a_disk_that_fills_up(fit, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Checkpoints, "save", full)
    with pytest.raises(TrainingStopped, match="No space left on device.*Epoch 1 is"):
        fit(1.0)
