"""The runtimes by name, where their runners live, and what one has to install."""

import dataclasses
import importlib.util


@dataclasses.dataclass(frozen=True)
class Runtime:
    """A runtime that rows can be measured in.

    Attributes:
        target: str, `"module:Class"` of its `Runner`.
        memory_target: the same, of the runner whose memory is measured.
        packages: names of the modules that it and the export for it import.
    """

    target: str
    memory_target: str
    packages: tuple = ()


def _runtime(name, *packages, memory=None):
    target = "benchmarks.speed.{}"
    return Runtime(target.format(name), target.format(memory or name), packages)


RUNTIMES = {
    "tensorflow": _runtime(
        "tensorflow_runner:TensorFlowRunner", memory="c_api_runner:CApiRunner"
    ),
    "torch": _runtime("torch_runner:TorchRunner", "torch"),
    "openvino": _runtime("openvino_runner:OpenVINORunner", "openvino"),
    "onnxruntime": _runtime("onnx_runner:OnnxRunner", "onnxruntime", "onnx", "tf2onnx"),
}


def missing_packages(name):
    """Returns the packages of a runtime that are not installed."""
    packages = RUNTIMES[name].packages
    return [package for package in packages if not importlib.util.find_spec(package)]


def installed(rows):
    """Splits rows by whether their runtime can be had.

    Returns:
        Pair of the list of rows that can be measured, and a dict, name of another
        row -> reason.
    """
    reasons = {
        runtime: f"not installed: {', '.join(missing)}"
        for runtime in {row.runtime for row in rows}
        if (missing := missing_packages(runtime))
    }
    skipped = {row.name: reasons[row.runtime] for row in rows if row.runtime in reasons}
    return [row for row in rows if row.name not in skipped], skipped
