import numpy as np
import pytest

from savedmodel_export.client.answers import (
    RequestError,
    check_outputs,
    check_scores,
)
from tests.savedmodel_export.client.faulty.fake_servers import classify


def test_a_good_answer_is_given_back():
    outputs = classify([b"\x01", b"\x02"])
    assert check_outputs(outputs, 2) is outputs


def test_groups():
    # serve_groups: (B, N, ...)
    outputs = {
        name: value.reshape(2, 2, *value.shape[1:])
        for name, value in classify([b"\x01", b"\x02", b"\x03", b"\x04"]).items()
    }
    assert check_outputs(outputs, 2) is outputs


def test_rounding_is_no_nonsense():
    outputs = classify([b"\x01"])
    outputs["probabilities"] = outputs["probabilities"].round(3)
    check_outputs(outputs, 1)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("logits", np.zeros((2, 5)), "shape .2, 5. for 1 rows"),
        ("logits", np.zeros(()), "shape .. for 1 rows"),
        ("logits", np.full((1, 5), np.inf), "not finite"),
        ("logits", np.array([[None] * 5]), "type object"),
        ("probabilities", np.array([[7.5, 0, 0, 0, 0]]), "outside 0 to 1"),
        ("probabilities", np.array([[0.5, 0, 0, 0, 0]]), "sum is not 1"),
        ("probabilities", np.zeros((1, 0)), "shape .1, 0."),
        ("class_ids", np.array([-1]), "negative"),
        ("class_ids", np.array([5]), "beyond the last class"),
        ("class_ids", np.array([2]), "not the most probable"),
        ("class_ids", np.array([1.0]), "type float64"),
        ("class_ids", np.array([[1]]), "shape .1, 1."),
        ("classes", np.array([1]), "type int64"),
        ("classes", np.array([["a"]]), "shape .1, 1."),
    ],
)
def test_nonsense(name, value, message):
    outputs = {**classify([b"\x01"]), name: value}
    with pytest.raises(RequestError, match=f"`{name}` has .*{message}"):
        check_outputs(outputs, 1)


def test_scores():
    classes, scores = np.array([["a", "b"]]), np.array([[0.5, 0.5]])
    assert check_scores(classes, scores, 1)["scores"] is scores
    for wrong in (np.array([[0.5, 7.5]]), np.array([0.5, 0.5]), np.array([[0.5]])):
        with pytest.raises(RequestError, match="makes no sense"):
            check_scores(classes, wrong, 1)
