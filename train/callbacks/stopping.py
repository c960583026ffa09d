"""Ends of a training that the user should hear of in one sentence."""

import contextlib
import math
import signal

import keras
import tensorflow as tf


class TrainingStopped(RuntimeError):
    """Training ended before its last epoch; the message says why and what to do.

    Args:
        message: str.
        exit_code: int. What a command should end with.
    """

    def __init__(self, message, exit_code=1):
        super().__init__(message)
        self.exit_code = exit_code


def as_stopped(error, workdir, data):
    """Returns what the user should hear of an error in training or evaluation.

    Args:
        error: `OSError` or `tf.errors.OpError`.
        workdir: of the run.
        data: `Data` of the run.

    Returns:
        `TrainingStopped`, or `None` if it tells nothing of files or workers.
    """
    if isinstance(error, (tf.errors.UnavailableError, tf.errors.AbortedError)):
        return TrainingStopped(
            f"Another worker was lost: {error.message.splitlines()[0]} Start all "
            "workers again to go on from the last completed epoch."
        )
    # A record that is damaged, or one that is missing.
    if isinstance(error, (tf.errors.DataLossError, tf.errors.FailedPreconditionError)):
        if damaged := data.source.damaged_files():
            return TrainingStopped(
                f"The data is damaged: {', '.join(damaged)}. Prepare it again, then "
                "run the same command to go on."
            )
    reason = getattr(error, "strerror", None)
    if reason is None and "No space left" in str(error):
        reason = "No space left on device"
    if reason:
        return TrainingStopped(
            f"The workdir {workdir} cannot be written: {reason}. The completed epochs "
            "are kept: make room, then run the same command to go on."
        )
    return None


# These settings may change while a run goes on.
DIVERGED_ADVICE = (
    "Run the same command with a lower --learning_rate, --clip_norm=1 or more "
    "--warmup_epochs to go on from the last completed epoch."
)


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
                f"{DIVERGED_ADVICE}"
            )


class StopOnSignal(keras.callbacks.Callback):
    """Ends training between two steps after SIGTERM or the first Ctrl-C.

    Use `listening()` around `fit`. The last completed epoch is on disk already,
    so nothing is written at that moment.
    """

    def __init__(self):
        super().__init__()
        self.received = None

    @contextlib.contextmanager
    def listening(self):
        """Receives the signals within the context, and nothing after it."""
        before = {}

        def note(number, frame):
            self.received = number
            # A second one does what it does elsewhere.
            signal.signal(number, before[number])

        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                # A command in the background of a shell ignores Ctrl-C.
                if signal.getsignal(number) != signal.SIG_IGN:
                    before[number] = signal.signal(number, note)
        except ValueError:  # Not the main thread: the caller handles signals.
            yield self
            return
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_train_batch_end(self, batch, logs=None):
        if self.received is not None:
            name = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[self.received]
            raise TrainingStopped(
                f"Stopped by {name}. Run the same command to go on from the last "
                "completed epoch, or with --evaluate_only to evaluate that.",
                exit_code=128 + self.received,
            )

    on_test_batch_end = on_train_batch_end


class StopWithoutImprovement(keras.callbacks.EarlyStopping):
    """Keras' early stopping, which counts the epochs of a run that goes on, too.

    Args:
        patience: int, epochs without a lower validation loss.
        progress: `Progress` of the run.
    """

    def __init__(self, patience, progress):
        super().__init__(monitor="val_loss", mode="min", patience=patience)
        self.progress = progress

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if self.progress.epochs:
            self.best = self.progress.best
            self.wait = self.progress.epochs_without_improvement
