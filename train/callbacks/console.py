"""What a training prints."""

import sys
import time

import keras


def is_terminal():
    """Whether someone watches the output; else it is a log."""
    return sys.stdout.isatty()


class EpochLines(keras.callbacks.Callback):
    """Prints one line per epoch, for logs.

    Args:
        epochs: int, the run's.
    """

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        values = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
        seconds = time.perf_counter() - self.started
        print(f"Epoch {epoch + 1}/{self.epochs}: {seconds:.1f} s, {values}", flush=True)
