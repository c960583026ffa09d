"""Timing that can be compared: interleaved, and the median of several rounds."""

import statistics
import time

MIN_REPEATS = 7


def interleaved_seconds(functions, repeats=MIN_REPEATS, min_seconds=0.2):
    """Times several functions in turn, so that drift meets all alike.

    Args:
        functions: dict, name -> function without arguments that ends when its
            work is done.
        repeats: int, at least 7. Rounds that are counted.
        min_seconds: float. A function is repeated within a round until this long
            has passed, so that short calls are not lost in the clock.

    Returns:
        dict, name -> median seconds per call.
    """
    if repeats < MIN_REPEATS:
        raise ValueError(
            f"`repeats` must be at least {MIN_REPEATS}. Received: repeats={repeats}"
        )
    for function in functions.values():
        function()
    samples = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            samples[name].append(_seconds_per_call(function, min_seconds))
    return {name: statistics.median(times) for name, times in samples.items()}


def _seconds_per_call(function, min_seconds):
    calls = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < min_seconds or calls == 0:
        function()
        calls += 1
    return elapsed / calls
