"""Exported models in ONNX Runtime."""

import onnxruntime

from benchmarks.speed.runner import Runner


class OnnxRunner(Runner):
    """Runs ONNX files, as savedmodel_export writes them."""

    def load(self, row, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        (given,) = session.get_inputs()
        return lambda images: session.run(None, {given.name: images})[0]
