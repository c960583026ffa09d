"""SavedModels in TensorFlow's C library: what a server needs, without Python's part."""

from benchmarks.throughput.runner import Runner
from savedmodel_export.c_api import LoadedModel


class CApiRunner(Runner):
    """Runs the signatures of SavedModels as TensorFlow Serving loads them."""

    def load(self, row, path):
        model = LoadedModel(path)
        return lambda images: model.run(row.signature, {"images": images})["logits"]
