"""SavedModels in TensorFlow, and the bare matrix products."""

import tensorflow as tf

from benchmarks.speed import gemm
from benchmarks.speed.runner import Runner


class TensorFlowRunner(Runner):
    """Runs the signatures of SavedModels; all of them share this process."""

    def __init__(self, threads):
        super().__init__(threads)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self._loaded = {}

    def load(self, row, path):
        if row.kind == "gemm":
            product = gemm.gemm_function(row.precision)
            return lambda images: product()
        if path not in self._loaded:
            self._loaded[path] = tf.saved_model.load(path)
        signature = self._loaded[path].signatures[row.signature]
        return lambda images: signature(images=images)["logits"].numpy()

    def to_input(self, images):
        return tf.constant(images)
