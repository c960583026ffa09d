"""The runtimes that are compared: how each loads a model, and what it needs.

Each runs in a process of its own, and imports its library there only.
"""

import dataclasses
import importlib.util
import types

import numpy as np

from benchmarks import gemm, timing
from benchmarks.speed import worker

NUM_CLASSES = 1000


class Runner:
    """Loads the models of one runtime and times them.

    Args:
        threads: int. Cores that the runtime may use.
    """

    def __init__(self, threads):
        self.threads = threads
        self._functions, self._images = {}, {}

    def load(self, row, path):
        """Returns a function, images as `to_input` returns them -> logits.

        It must not return before the work is done.
        """
        raise NotImplementedError

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


class TensorFlow(Runner):
    """The signatures of SavedModels, and the bare matrix products."""

    def __init__(self, threads):
        import tensorflow as tf

        super().__init__(threads)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self._loaded = {}

    def load(self, row, path):
        import tensorflow as tf

        if row.kind == "gemm":
            product = gemm.gemm_function(row.precision)
            return lambda images: product()
        if path not in self._loaded:
            self._loaded[path] = tf.saved_model.load(path)
        signature = self._loaded[path].signatures[row.signature]
        return lambda images: signature(images=images)["logits"].numpy()

    def to_input(self, images):
        import tensorflow as tf

        return tf.constant(images)


class TensorFlowLibrary(Runner):
    """SavedModels in TensorFlow's C library: what a server needs, without Python."""

    def load(self, row, path):
        from savedmodel_export.verify.c_api import LoadedModel

        model = LoadedModel(path)
        return lambda images: model.run(row.signature, {"images": images})["logits"]


class PyTorch(Runner):
    """The same ViT written in PyTorch, with random weights, eager or compiled."""

    def __init__(self, threads):
        import torch

        super().__init__(threads)
        torch.set_num_threads(threads)
        torch.manual_seed(0)

    def load(self, row, path):
        import torch

        from benchmarks.speed.peers.torch_vit import ViT

        model = ViT(types.SimpleNamespace(**path), row.image_size, NUM_CLASSES).eval()
        if row.precision == "int8":
            # Its way for a CPU: int8 weights, ranges measured in each call.
            linear = {torch.nn.Linear}
            model = torch.ao.quantization.quantize_dynamic(model, linear, torch.qint8)
        else:
            model = model.to(getattr(torch, row.precision))
        if row.compiled:
            # One graph for all batch sizes: each more takes half a minute to compile.
            model = torch.compile(model, dynamic=True)

        def predict(images):
            with torch.inference_mode():
                return model(images).numpy()

        return predict

    def to_input(self, images):
        import torch

        return torch.from_numpy(images)


class OpenVINO(Runner):
    """OpenVINO's own files, as `savedmodel_export` writes them."""

    # Its own choice is bfloat16 wherever the processor has it. In an int8 file that
    # is for what is not int8.
    HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "bf16"}

    def load(self, row, path):
        import openvino

        options = {
            "INFERENCE_PRECISION_HINT": self.HINTS[row.precision],
            "INFERENCE_NUM_THREADS": self.threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = openvino.Core().compile_model(path, "CPU", options)
        return lambda images: compiled([images])[0]


class ONNXRuntime(Runner):
    """ONNX files, as `savedmodel_export` writes them."""

    def load(self, row, path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        (given,) = session.get_inputs()
        return lambda images: session.run(None, {given.name: images})[0]


@dataclasses.dataclass(frozen=True)
class Runtime:
    """A runtime that rows can be measured in.

    Attributes:
        runner: subclass of `Runner`.
        packages: tuple of str, the modules that it and the export for it import.
        memory_runner: subclass of `Runner` whose memory is measured; `None`: the
            runner's own.
    """

    runner: type
    packages: tuple = ()
    memory_runner: type | None = None

    @property
    def target(self):
        """What `Worker` is told to serve."""
        return _target(self.runner)

    @property
    def memory_target(self):
        """What `Worker` is told to serve for measuring memory."""
        return _target(self.memory_runner or self.runner)


def _target(runner):
    return f"{runner.__module__}:{runner.__qualname__}"


RUNTIMES = {
    "tensorflow": Runtime(TensorFlow, memory_runner=TensorFlowLibrary),
    "torch": Runtime(PyTorch, ("torch",)),
    "openvino": Runtime(OpenVINO, ("openvino",)),
    "onnxruntime": Runtime(ONNXRuntime, ("onnxruntime", "onnx", "tf2onnx")),
}


# What a quantizer needs beyond its runtime.
PACKAGES = {"nncf": ("nncf",)}


def installed(rows):
    """Splits rows by whether their runtime can be had.

    Returns:
        Pair of the list of rows that can be measured, and a dict, name of another
        row -> reason.
    """
    found, skipped = [], {}
    for row in rows:
        packages = RUNTIMES[row.runtime].packages + PACKAGES.get(row.quantizer, ())
        if missing := [p for p in packages if not importlib.util.find_spec(p)]:
            skipped[row.name] = f"not installed: {', '.join(missing)}"
        else:
            found.append(row)
    return found, skipped
