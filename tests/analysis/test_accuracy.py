import pytest

from keras_concatplexer.analysis import Accuracy


@pytest.mark.parametrize(
    "right, count, low, high",
    [
        # Known intervals of Wilson's score at 95 %.
        (10, 20, 0.2993, 0.7007),
        (9, 10, 0.5958, 0.9821),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
        (940, 1000, 0.9235, 0.9531),
    ],
)
def test_wilson_interval(right, count, low, high):
    result = Accuracy.of([True] * right + [False] * (count - right))
    assert result.accuracy == right / count and result.count == count
    assert (result.low, result.high) == pytest.approx((low, high), abs=1e-4)
    assert 0 <= result.low <= result.accuracy <= result.high <= 1


def test_nothing_has_no_accuracy():
    assert Accuracy.of([]) is None
