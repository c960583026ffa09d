"""Ends of a training that the user should hear of in one sentence."""

import contextlib
import math
import signal

import keras


class TrainingStopped(RuntimeError):
    """Training ended before its last epoch; the message says why and what to do.

    Args:
        message: str.
        exit_code: int. What a command should end with.
    """

    def __init__(self, message, exit_code=1):
        super().__init__(message)
        self.exit_code = exit_code


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Stops before a loss that is not finite is taken for a result.

    The epoch's loss is a running mean: one bad step shows in all that follow.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise TrainingStopped(
                f"The loss became {loss} in epoch {self.epoch + 1}, step {batch + 1}. "
                "Lower --learning_rate, set --clip_norm=1, or lengthen "
                "--warmup_epochs. The last completed epoch is kept."
            )


class StopOnSigterm(keras.callbacks.Callback):
    """Ends training between two steps after SIGTERM, as schedulers send it.

    Use `listening()` around `fit`. The last completed epoch is on disk already,
    so nothing is written at that moment.
    """

    def __init__(self):
        super().__init__()
        self.received = False

    @contextlib.contextmanager
    def listening(self):
        """Receives SIGTERM within the context, and nothing after it."""

        def note(*_):
            self.received = True

        try:
            before = signal.signal(signal.SIGTERM, note)
        except ValueError:  # Not the main thread: the caller handles signals.
            yield self
            return
        try:
            yield self
        finally:
            signal.signal(signal.SIGTERM, before)

    def on_train_batch_end(self, batch, logs=None):
        if self.received:
            raise TrainingStopped(
                "Stopped by SIGTERM. Run the same command to go on from the last "
                "completed epoch.",
                exit_code=128 + signal.SIGTERM,
            )

    on_test_batch_end = on_train_batch_end
