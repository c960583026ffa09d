"""Exported models in OpenVINO."""

import openvino

from benchmarks.speed.runner import Runner

# Its own choice is bfloat16 wherever the processor has it.
HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVINORunner(Runner):
    """Runs OpenVINO's own files, as savedmodel_export writes them."""

    def load(self, row, path):
        options = {
            "INFERENCE_PRECISION_HINT": HINTS[row.precision],
            "INFERENCE_NUM_THREADS": self.threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = openvino.Core().compile_model(path, "CPU", options)
        return lambda images: compiled([images])[0]
