"""Timing that can be compared: interleaved, and the median of several rounds."""

import dataclasses
import functools
import statistics
import time

import numpy as np

MIN_REPEATS = 7


@dataclasses.dataclass(frozen=True)
class Timing:
    """What was measured of one function.

    Attributes:
        rounds: tuple of tuples, seconds of each call in each round.
    """

    rounds: tuple

    @property
    def per_round(self):
        """List of float, mean seconds per call of each round."""
        return [statistics.fmean(calls) for calls in self.rounds]

    @property
    def median(self):
        """Seconds per call: the median over the rounds."""
        return statistics.median(self.per_round)

    @property
    def spread(self):
        """Distance of the quartiles of the rounds, over their median."""
        low, high = np.percentile(self.per_round, (25, 75))
        return float((high - low) / self.median)

    def percentile(self, percent):
        """Seconds that this share of all single calls did not exceed."""
        calls = [seconds for calls in self.rounds for seconds in calls]
        return float(np.percentile(calls, percent))


def interleaved(samplers, repeats=MIN_REPEATS):
    """Takes samples of several functions in turn, so that drift meets all alike.

    Args:
        samplers: dict, name -> function without arguments that returns the seconds
            of one or more calls, such as `calls` or a worker's answer. What needs
            a call to warm up has had one.
        repeats: int, at least 7. Rounds.

    Returns:
        dict, name -> `Timing`.
    """
    if repeats < MIN_REPEATS:
        raise ValueError(
            f"`repeats` must be at least {MIN_REPEATS}. Received: repeats={repeats}"
        )
    rounds = {name: [] for name in samplers}
    for _ in range(repeats):
        for name, sampler in samplers.items():
            rounds[name].append(tuple(sampler()))
    return {name: Timing(tuple(taken)) for name, taken in rounds.items()}


def interleaved_seconds(functions, repeats=MIN_REPEATS, min_seconds=0.2):
    """Times several functions of this process in turn, after a call of each.

    Args:
        functions: dict, name -> function without arguments that ends when its
            work is done.
        repeats: int, at least 7. Rounds that are counted.
        min_seconds: float. A function is repeated within a round until this long
            has passed, so that short calls are not lost in the clock.

    Returns:
        dict, name -> median seconds per call.
    """
    samplers = {
        name: functools.partial(calls, function, min_seconds)
        for name, function in functions.items()
    }
    for function in functions.values():
        function()
    timings = interleaved(samplers, repeats)
    return {name: timing.median for name, timing in timings.items()}


def calls(function, min_seconds):
    """Returns the seconds of each call, repeated until `min_seconds` have passed."""
    seconds = []
    while not seconds or sum(seconds) < min_seconds:
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return seconds
