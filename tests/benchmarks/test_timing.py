import pytest

from benchmarks.timing import interleaved_seconds


def test_calls_are_interleaved_and_the_median_is_taken():
    calls = []
    functions = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = interleaved_seconds(functions, min_seconds=0.0)
    # One call to warm up, then one each in every round.
    assert calls == ["a", "b"] * 8
    assert set(seconds) == {"a", "b"} and min(seconds.values()) > 0


def test_too_few_repeats_are_refused():
    with pytest.raises(ValueError, match="at least 7"):
        interleaved_seconds({}, repeats=3)
