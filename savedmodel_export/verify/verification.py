"""Compares a version with answers of the live model, in a process of its own.

The exporter saves requests and the live model's answers; this module, run as a
program, loads the version by TensorFlow's C library and compares every signature. So
nothing of the exporter's process can stand in for what the folder lacks.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from savedmodel_export.verify.c_api import CApiError, LoadedModel

TOLERANCE = 1e-4
# Half precision rounds anew wherever the graph's optimizer joins operations.
HALF_TOLERANCE = 0.1
# What int8 changes is measured by its calibration; here it is whether it runs rightly.
INT8_TOLERANCE = 0.3


class VerificationError(RuntimeError):
    """A version does not answer as the live model."""


def default_tolerance(precision):
    """Returns float, the largest difference of answers over the largest one."""
    return {"float32": TOLERANCE, "int8": INT8_TOLERANCE}.get(precision, HALF_TOLERANCE)


def finite(answers, name):
    """Returns the live answers of the model of that name as a float32 array.

    Raises:
        ValueError: if one is not finite: such a model would pass no comparison.
    """
    answers = np.asarray(answers).astype(np.float32)
    if not np.isfinite(answers).all():
        raise ValueError(
            f"The model {name} answers random images with values that are not "
            "finite. Its training diverged, or its weights are damaged."
        )
    return answers


def relative_difference(answers, expected):
    """Returns the largest difference of answers over the largest expected one."""
    # A head of zeros answers with zeros: there the difference itself counts.
    return _distance(answers, expected) / (np.abs(expected).max() or 1.0)


def verify(folder, inputs, expected, class_names, tolerance):
    """Loads a version in a fresh process and compares its answers.

    Args:
        folder: path of the SavedModel.
        inputs: dict, name of a signature -> array that it takes as its one input.
        expected: dict, name -> dict of float arrays with a row per image: what the
            live model says of the same images, `features`, `logits` or both.
        class_names: sequence of str.
        tolerance: float. Largest difference allowed, of features and logits divided
            by the largest one, and of probabilities.

    Raises:
        VerificationError: if an answer differs or the version cannot be loaded.
    """
    with tempfile.TemporaryDirectory() as work:
        answers = pathlib.Path(work) / "answers.npz"
        np.savez(
            answers,
            class_names=np.array(class_names),
            **{f"inputs_{name}": _portable(value) for name, value in inputs.items()},
            **{
                f"expected_{name}/{output}": values
                for name, outputs in expected.items()
                for output, values in outputs.items()
            },
        )
        root = str(pathlib.Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        result = subprocess.run(
            [sys.executable, "-m", __name__, str(folder), str(answers), str(tolerance)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
        )
    if result.returncode:
        lines = result.stderr.strip().splitlines()
        # A negative code is a signal, for example of want of memory.
        told = lines and result.returncode > 0
        reason = lines[-1] if told else f"exit code {result.returncode}"
        raise VerificationError(
            "The reloaded SavedModel does not answer as the live model: "
            f"{reason}. Nothing was published."
        )


def compare(folder, answers, tolerance):
    """Returns what differs between a version and the saved answers, or `None`."""
    model = LoadedModel(folder)
    names = {key.removeprefix("inputs_") for key in answers if key[:7] == "inputs_"}
    if set(model.signatures) != names:
        return f"signatures {sorted(model.signatures)}, expected {sorted(names)}"
    for name in sorted(names):
        (key,) = model.signatures[name].inputs
        value = answers[f"inputs_{name}"]
        if value.dtype.kind == "V":
            value = _strings(value)
        outputs = model.run(name, {key: value})
        if wrong_rows := [k for k, v in outputs.items() if len(v) != len(value)]:
            return f"{name} returns another number of rows in {wrong_rows}"
        start = f"expected_{name}/"
        expected = {
            key.removeprefix(start): values
            for key, values in answers.items()
            if key.startswith(start)
        }
        class_names = answers["class_names"]
        for what, difference in _differences(outputs, expected, class_names):
            if not difference <= tolerance:
                return (
                    f"difference of {what} in {name} {difference:.2e}, "
                    f"allowed {tolerance:.0e}"
                )
    return None


def _differences(outputs, expected, names):
    """Yields (name of an output, how far it is from what it must be)."""
    logits = expected.get("logits")
    if "scores" in outputs:
        # A probability moves by less than the logits do.
        difference = _distance(outputs["scores"], _softmax(logits))
        yield "scores", difference / max(1.0, np.abs(logits).max())
        yield "classes", _unequal(outputs["classes"], np.tile(names, (len(logits), 1)))
        return
    if "features" in expected:
        yield (
            "features",
            relative_difference(outputs["features"], expected["features"]),
        )
    if logits is None:
        return
    yield "logits", relative_difference(outputs["logits"], logits)
    # The others follow from the logits answered: two classes may be nearly equal.
    answered = outputs["logits"].reshape(logits.shape)
    yield "probabilities", _distance(outputs["probabilities"], _softmax(answered))
    class_ids = answered.argmax(-1)
    yield "class_ids", 0.0 if (outputs["class_ids"].flat == class_ids).all() else np.inf
    yield "classes", _unequal(outputs["classes"], names[class_ids])


def _softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _distance(array, expected):
    return np.abs(array.reshape(expected.shape) - expected).max()


def _unequal(array, expected):
    texts = [text.decode() for text in array.flat]
    return 0.0 if texts == expected.reshape(-1).tolist() else np.inf


def _portable(array):
    """Bytes objects as fixed-size records: npz files hold no objects safely."""
    if array.dtype != object:
        return array
    width = max(map(len, array))
    records = np.zeros(len(array), [("length", "<i8"), ("content", "u1", (width,))])
    for record, content in zip(records, array, strict=True):
        record["length"] = len(content)
        record["content"][: len(content)] = np.frombuffer(content, "u1")
    return records


def _strings(records):
    strings = np.empty(len(records), object)
    for index, record in enumerate(records):
        strings[index] = record["content"][: record["length"]].tobytes()
    return strings


def main(folder, answers, tolerance):
    """Exits with a line on the standard error if the version differs."""
    try:
        with np.load(answers) as loaded:
            difference = compare(folder, dict(loaded), float(tolerance))
    except (CApiError, ValueError) as error:
        difference = " ".join(str(error).split())
    sys.exit(difference)


if __name__ == "__main__":
    main(*sys.argv[1:])
