"""SavedModels in TensorFlow's C library: what a server needs, without Python's part."""

# Before TensorFlow's library, whose symbols become global: imported behind it, this
# ends the process.
import numpy.random  # noqa: F401

from benchmarks.speed.runner import Runner
from savedmodel_export.verify.c_api import LoadedModel


class CApiRunner(Runner):
    """Runs the signatures of SavedModels as TensorFlow Serving loads them."""

    def load(self, row, path):
        model = LoadedModel(path)
        return lambda images: model.run(row.signature, {"images": images})["logits"]
