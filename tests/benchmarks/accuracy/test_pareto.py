import pytest

from benchmarks.accuracy.pareto import front


@pytest.mark.parametrize(
    "points, expected",
    [
        ({}, []),
        ({"a": (1, 1)}, ["a"]),
        # c is slower than b and no better.
        ({"a": (1, 9), "c": (2, 5), "b": (3, 5), "d": (4, 1)}, ["a", "b", "d"]),
        # As fast, but worse.
        ({"a": (1, 9), "b": (1, 8)}, ["a"]),
        # Equals do not dominate each other.
        ({"a": (1, 9), "b": (1, 9)}, ["a", "b"]),
        ({"a": (-2, 5), "b": (-1, 4), "c": (-3, 4)}, ["a", "b"]),
    ],
)
def test_front(points, expected):
    assert front(points) == expected
