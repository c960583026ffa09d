import errno
import os
import signal

import numpy as np
import pytest
import tensorflow as tf

from train.callbacks.stopping import (
    StopOnNonFiniteLoss,
    StopOnSignal,
    StopWithoutImprovement,
    TrainingStopped,
    as_stopped,
)
from train.checkpoint import Progress


@pytest.fixture(autouse=True)
def ctrl_c_is_heard():
    """Not so where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "number, name, code",
    [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "Ctrl-C", 130)],
)
def test_a_signal_stops_after_the_step(number, name, code):
    before = signal.getsignal(number)
    stop = StopOnSignal()
    with stop.listening():
        stop.on_train_batch_end(0, {})
        os.kill(os.getpid(), number)
        for hook in (stop.on_train_batch_end, stop.on_test_batch_end):
            with pytest.raises(TrainingStopped, match=f"Stopped by {name}") as error:
                hook(1, {})
            assert error.value.exit_code == code
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_does_not_wait_for_the_step():
    with StopOnSignal().listening():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_who_ignores_a_signal_goes_on_ignoring_it():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = StopOnSignal()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGINT)
        stop.on_train_batch_end(0, {})


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite(loss):
    stop = StopOnNonFiniteLoss()
    stop.on_epoch_begin(4)
    stop.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(TrainingStopped, match="epoch 5, step 8.*--learning_rate"):
        stop.on_train_batch_end(7, {"loss": loss})


def stopped_epochs(losses, patience, first_part):
    """The epochs a run of these losses trains; it is interrupted after some."""
    progress, trained = Progress(), 0

    class Model:
        stop_training = False

    for part in (losses[:first_part], losses[first_part:]):
        stop = StopWithoutImprovement(patience, progress)
        stop.set_model(Model())
        stop.on_train_begin()
        for loss in part:
            progress.add({"val_loss": np.float32(loss)}, steps=1, seconds=1.0)
            progress.best = min(progress.best, float(np.float32(loss)))
            stop.on_epoch_end(trained, {"val_loss": loss})
            trained += 1
            if stop.model.stop_training:
                return trained
    return trained


def test_early_stopping_counts_across_an_interruption():
    losses = [3.0, 2.0, 2.5, 2.4, 1.9, 2.2, 2.1, 2.3, 1.0]
    for first_part in range(len(losses)):
        assert stopped_epochs(losses, 3, first_part) == 8
    progress = Progress()
    assert progress.epochs_without_improvement == 0
    for loss in losses[:7]:
        progress.add({"val_loss": loss}, steps=1, seconds=1.0)
    assert progress.epochs_without_improvement == 2


def test_errors_of_files_and_workers_become_sentences():
    class Source:
        def damaged_files(self):
            return ["digits-train.tfrecord-00000-of-00001"]

    class Data:
        source = Source()

    def message(error):
        return str(as_stopped(error, "runs/first", Data()))

    full = OSError(errno.ENOSPC, "No space left on device")
    assert "runs/first cannot be written: No space left" in message(full)
    full = tf.errors.UnknownError(None, None, "events; No space left on device")
    assert "runs/first cannot be written: No space left" in message(full)
    lost = tf.errors.UnavailableError(None, None, "Socket closed")
    assert message(lost).startswith("Another worker was lost: Socket closed")
    damaged = tf.errors.DataLossError(None, None, "corrupted record at 12")
    assert "digits-train.tfrecord-00000-of-00001" in message(damaged)
    other = tf.errors.InvalidArgumentError(None, None, "shapes")
    assert as_stopped(other, "runs/first", Data()) is None
    unreadable = OSError("Unable to synchronously open file")
    assert as_stopped(unreadable, "runs/first", Data()) is None
