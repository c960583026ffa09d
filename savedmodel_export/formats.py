"""File formats of other runtimes, and how each runtime runs its own.

Each runtime is imported where a file is loaded: none of them need be installed.
"""

import dataclasses
import warnings
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Format:
    """A file format and the runtime that it is checked with.

    Attributes:
        file: str, name of the model's file.
        weights: str, name of the file that holds the weights.
        packages: str, what to install for the export and the check.
        load: function, path -> function, images -> logits; raises `ImportError`
            without the runtime.
    """

    file: str
    weights: str
    packages: str
    load: Callable


def _load_litert(path):
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter  # noqa: N806 (a class)
    with warnings.catch_warnings():
        # TensorFlow's own interpreter says that it will move to that package.
        warnings.filterwarnings("ignore", message="(?s).*tf.lite.Interpreter")
        interpreter = Interpreter(str(path))
    (given,), (returned,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )

    def run(images):
        interpreter.resize_tensor_input(given["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(returned["index"])

    return run


def _load_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    return lambda images: session.run(None, {given.name: images})[0]


def _load_openvino(path):
    import openvino

    # Its own choice is bfloat16 where the processor has it.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", options)
    return lambda images: compiled([images])[0]


FORMATS = {
    "onnx": Format("model.onnx", "model.onnx", "onnx tf2onnx onnxruntime", _load_onnx),
    "litert": Format("model.tflite", "model.tflite", "ai-edge-litert", _load_litert),
    "openvino": Format("model.xml", "model.bin", "openvino", _load_openvino),
}
