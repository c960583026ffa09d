"""Drives the workers: exports, times all rows in turn, measures their memory."""

import contextlib
import functools
import time

from benchmarks.speed.runtimes import RUNTIMES
from benchmarks.speed.worker import Worker
from benchmarks.timing import interleaved

# Larger batches than this take seconds, and what they meet anew is little.
MAX_WARM_UP = 32
# So long the threads of the runtime that was measured last may still spin.
SETTLE_SECONDS = 0.05


def log(text):
    """Prints a line of progress at once."""
    print(text, flush=True)


def export_rows(rows, folder):
    """Exports every row in a process that ends with it.

    Returns:
        dict, row name -> what `Exporter.export` returns.
    """
    exported = {}
    with Worker("benchmarks.speed.exports:Exporter", str(folder)) as exporter:
        for row in rows:
            started = time.perf_counter()
            exported[row.name] = exporter.call("export", row)
            log(f"exported {row.name}: {time.perf_counter() - started:.0f} s")
    return exported


def time_rows(
    rows,
    paths,
    threads,
    batch_sizes,
    repeats,
    min_seconds,
    max_call_seconds=float("inf"),
):
    """Times every row, all rows in turn in each round; yields each batch size.

    Args:
        rows: list of `Row`, bare products included.
        paths: dict, row name -> path of its file, or what its runner takes as one.
        threads: int. Cores of each runtime.
        batch_sizes: list of int.
        repeats: int. Rounds.
        min_seconds: float. How long a row is repeated within a round.
        max_call_seconds: float. A row is left out at a batch size whose call would
            take longer, as foretold by the batch size before. A bare product never
            is: it does not depend on the batch size.

    Yields:
        Pairs of a batch size and a dict, row name -> `Timing`.
    """
    with contextlib.ExitStack() as stack:
        workers = {
            runtime: stack.enter_context(Worker(RUNTIMES[runtime].target, threads))
            for runtime in dict.fromkeys(row.runtime for row in rows)
        }
        for row in rows:
            workers[row.runtime].call("open", row, paths.get(row.name))
        timings, last = {}, None
        for batch_size in batch_sizes:
            started = time.perf_counter()
            if last:
                longest = max_call_seconds * last / batch_size
                rows = [
                    row
                    for row in rows
                    if row.kind == "gemm" or timings[row.name].median <= longest
                ]
            warm = min(batch_size, MAX_WARM_UP)
            if warm == batch_size or not last:
                for row in rows:
                    workers[row.runtime].call("time", row.name, warm, 0.0)
            turn = Turn()
            samplers = {
                row.name: functools.partial(
                    turn.time, workers[row.runtime], row.name, batch_size, min_seconds
                )
                for row in rows
            }
            timings, last = interleaved(samplers, repeats), batch_size
            log(f"batch {batch_size}: {time.perf_counter() - started:.0f} s")
            yield batch_size, timings


class Turn:
    """Passes the machine from one worker to the next."""

    def __init__(self):
        self._last = None

    def time(self, worker, *arguments):
        """Lets a worker time a row, after the last one has come to rest."""
        if worker is not self._last:
            time.sleep(SETTLE_SECONDS)
        self._last = worker
        return worker.call("time", *arguments)


def memory_of(row, path, threads, batch_size):
    """Returns the peak resident bytes of a process that runs nothing but a row."""
    with Worker(RUNTIMES[row.runtime].memory_target, threads) as worker:
        worker.call("open", row, path)
        for _ in range(2):
            worker.call("time", row.name, batch_size, 0.0)
        return worker.call("peak_memory")
