import pytest

from benchmarks.timing import Timing, calls, interleaved, interleaved_seconds


def test_calls_are_interleaved_and_the_median_is_taken():
    called = []
    functions = {name: lambda name=name: called.append(name) for name in "ab"}
    seconds = interleaved_seconds(functions, min_seconds=0.0)
    # One call to warm up, then one each in every round.
    assert called == ["a", "b"] * 8
    assert set(seconds) == {"a", "b"} and min(seconds.values()) > 0


def test_too_few_repeats_are_refused():
    with pytest.raises(ValueError, match="at least 7"):
        interleaved_seconds({}, repeats=3)


def test_samplers_take_turns():
    answers = {"a": iter(range(1, 8)), "b": iter(range(11, 18))}
    order = []

    def sampler(name):
        def sample():
            order.append(name)
            return [next(answers[name])]

        return sample

    timings = interleaved({name: sampler(name) for name in answers})
    assert order == ["a", "b"] * 7
    assert timings["a"].median == 4 and timings["b"].median == 14


def test_percentiles_are_of_calls_and_the_median_of_rounds():
    timing = Timing(((1.0, 1.0, 1.0, 5.0), (3.0,), (4.0,)))
    assert timing.per_round == [2.0, 3.0, 4.0]
    assert timing.median == 3.0
    assert timing.percentile(50) == 2.0
    assert timing.percentile(100) == 5.0
    assert timing.spread == pytest.approx(1 / 3)


def test_a_call_is_repeated_until_the_time_has_passed():
    assert len(calls(lambda: None, 0.0)) == 1
    taken = calls(lambda: None, 1e-4)
    assert len(taken) > 1 and sum(taken) >= 1e-4
