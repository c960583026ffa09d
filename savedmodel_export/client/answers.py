"""What counts as an answer, and the error where there is none."""

import numpy as np

# This request is at fault, for example with a corrupt image.
INPUT = "input"
# The server failed at this request. It may answer others.
ANSWER = "answer"
# The server will answer no request of this kind.
SERVER = "server"
# Servers may round what they print.
TOLERANCE = 1e-3


class RequestError(ValueError):
    """A request without an answer that can be used.

    Args:
        message: str.
        fault: `INPUT`, `ANSWER` or `SERVER`. What is at fault.
    """

    def __init__(self, message, fault=ANSWER):
        super().__init__(message)
        self.fault = fault


def check_outputs(outputs, num_rows):
    """Returns the outputs of a signature after checks.

    Args:
        outputs: dict, name -> array.
        num_rows: int. Rows of the request.

    Raises:
        RequestError: if an output has another number of rows, is not finite, or is
            named `probabilities`, `class_ids` or `classes` and cannot be that.
    """
    for name, value in outputs.items():
        if value.ndim == 0 or len(value) != num_rows:
            raise _nonsense(name, f"shape {value.shape} for {num_rows} rows")
        if value.dtype.kind not in "biufU":
            raise _nonsense(name, f"values of type {value.dtype}")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise _nonsense(name, "values that are not finite")
    if "probabilities" in outputs:
        _check_probabilities(outputs["probabilities"])
    if "class_ids" in outputs:
        _check_class_ids(outputs["class_ids"], outputs.get("probabilities"))
    if "classes" in outputs:
        _check_classes(outputs["classes"], outputs.get("class_ids"))
    return outputs


def check_scores(classes, scores, num_rows):
    """Returns dict, `classes` and `scores` of Classify, after checks.

    Raises:
        RequestError: if they cannot be the classes and probabilities of the rows.
    """
    if classes.shape != scores.shape:
        raise _nonsense("scores", f"shape {scores.shape}, and classes {classes.shape}")
    check_outputs({"classes": classes, "scores": scores}, num_rows)
    _check_probabilities(scores)
    return {"classes": classes, "scores": scores}


def _check_probabilities(value):
    if value.dtype.kind not in "iuf" or value.ndim < 2 or not value.shape[-1]:
        raise _nonsense("probabilities", f"{value.dtype} of shape {value.shape}")
    if value.min() < -TOLERANCE or value.max() > 1 + TOLERANCE:
        raise _nonsense("probabilities", "values outside 0 to 1")
    if np.abs(value.sum(-1) - 1).max() > 10 * TOLERANCE:
        raise _nonsense("probabilities", "rows whose sum is not 1")


def _check_class_ids(value, probabilities):
    if value.dtype.kind not in "iu":
        raise _nonsense("class_ids", f"values of type {value.dtype}")
    if value.min() < 0:
        raise _nonsense("class_ids", "negative values")
    if probabilities is None:
        return
    if value.shape != probabilities.shape[:-1]:
        raise _nonsense("class_ids", f"shape {value.shape}")
    if value.max() >= probabilities.shape[-1]:
        raise _nonsense("class_ids", "values beyond the last class")
    chosen = np.take_along_axis(probabilities, value[..., None], -1)[..., 0]
    if (chosen < probabilities.max(-1) - TOLERANCE).any():
        raise _nonsense("class_ids", "classes that are not the most probable ones")


def _check_classes(value, class_ids):
    if value.dtype.kind != "U":
        raise _nonsense("classes", f"values of type {value.dtype}")
    if class_ids is not None and value.shape != class_ids.shape:
        raise _nonsense("classes", f"shape {value.shape}")


def _nonsense(name, what):
    return RequestError(f"The answer makes no sense: `{name}` has {what}.")
