"""What every runtime offers the comparison."""

import abc

import numpy as np

from benchmarks import timing
from benchmarks.speed import worker


class Runner(abc.ABC):
    """Loads models of one runtime and times them.

    Args:
        threads: int. Cores that the runtime may use.
    """

    def __init__(self, threads):
        self.threads = threads
        self._functions, self._images = {}, {}

    @abc.abstractmethod
    def load(self, row, path):
        """Returns a function, images as `to_input` returns them -> logits.

        It must not return before the work is done.
        """

    def to_input(self, images):
        """Returns float32 images, values 0 to 255, as the runtime's own tensor."""
        return images

    def open(self, row, path):
        """Loads a row's model, to be called by the row's name from now on."""
        self._functions[row.name] = self.load(row, path), row.image_size

    def time(self, name, batch_size, min_seconds):
        """Returns the seconds of each call, as `timing.calls`."""
        function, image_size = self._functions[name]
        key = batch_size, image_size
        if key not in self._images:
            # One batch at a time: 128 images of 224 pixels take 77 MB.
            shape = (batch_size, image_size, image_size, 3)
            images = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
            self._images = {key: self.to_input(images)}
        images = self._images[key]
        return timing.calls(lambda: function(images), min_seconds)

    def peak_memory(self):
        """Bytes, of this process."""
        return worker.peak_memory()
