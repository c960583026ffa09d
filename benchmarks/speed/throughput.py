"""`python -m benchmarks.speed.throughput`: images per second of every row, interleaved.

Exports ViT-B/16 as the plain Keras graph and as the fused graph, the multiplexed
models, other sizes, and the same ViT for the other runtimes that are installed; reloads
them, each runtime in a process of its own, and times all rows in turn, round by round,
so that all meet the same machine. Writes JSON, CSV, Markdown and PNG. Half an hour
on two cores; `--quick` takes two and tells whether its few rows come in the order of
the last full run.
"""

import dataclasses
import json
import pathlib
import re
import tempfile

from absl import app, flags, logging

from benchmarks import machine
from benchmarks.speed import report
from benchmarks.speed.measuring import (
    export_rows,
    memory_of,
    set_environment,
    time_rows,
)
from benchmarks.speed.ordering import compare_order
from benchmarks.speed.plot import draw
from benchmarks.speed.results import collect
from benchmarks.speed.rows import GEMMS, full_rows, quick_rows
from benchmarks.speed.runtimes import installed
from benchmarks.timing import MIN_REPEATS

RESULTS = pathlib.Path("benchmarks/results")
REFERENCE_BATCH_SIZE = 8

flags.DEFINE_bool("quick", False, "A few rows at batch 8, compared with the last run.")
flags.DEFINE_list("batch_sizes", ["1", "8", "32", "128"], "Images per request.")
flags.DEFINE_string("rows", "", "Regular expression: measure the rows it finds only.")
flags.DEFINE_integer("image_size", 224, "Side of the images.")
flags.DEFINE_integer("repeats", MIN_REPEATS, "Rounds.", lower_bound=MIN_REPEATS)
flags.DEFINE_float("min_seconds", 0.25, "A row is repeated so long in each round.")
flags.DEFINE_float(
    "max_call_seconds", 8.0, "Leave out a row at a batch size whose call takes longer."
)
flags.DEFINE_integer("threads", 0, "Cores of every runtime; 0: all.", lower_bound=0)
flags.DEFINE_integer("memory_batch_size", 32, "Images per request of the peak memory.")
flags.DEFINE_string("out", "", "Folder of the results.")
flags.DEFINE_string("name", "throughput", "Name of the files there.")
flags.DEFINE_bool("allow_load", False, "Measure on a busy machine too.")


def main(argv):
    """Measures, writes the files and prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    if not values.allow_load:
        machine.check_idle()
    print(json.dumps(machine.description()), flush=True)
    rows, skipped = installed(
        [
            dataclasses.replace(row, image_size=values.image_size)
            for row in (quick_rows() if values.quick else full_rows())
            if re.search(values.rows, row.name)
        ]
    )
    sizes = [REFERENCE_BATCH_SIZE]
    if not values.quick:
        sizes = sorted(int(size) for size in values.batch_sizes)
    results = measure(rows, sizes, values, skipped)
    print(report.page(results))
    if values.quick:
        _tell_order(results)
    folder = pathlib.Path(values.out or ("build" if values.quick else RESULTS))
    _write(results, folder, f"{values.name}_quick" if values.quick else values.name)


def measure(rows, sizes, values, skipped):
    """Exports and measures rows; returns what `results.collect` returns."""
    threads = values.threads or machine.num_cores()
    set_environment(threads)
    for name, reason in skipped.items():
        print(f"not measured: {name} ({reason})", flush=True)

    def log(text):
        print(text, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        exported = export_rows(rows, folder, log)
        paths = {name: row["path"] for name, row in exported.items()}
        timings = time_rows(
            [*rows, *GEMMS],
            paths,
            threads,
            sizes,
            values.repeats,
            values.min_seconds,
            log,
            values.max_call_seconds,
        )
        memory = {}
        if not values.quick:
            for row in rows:
                memory[row.name] = memory_of(
                    row, paths[row.name], threads, values.memory_batch_size
                )
    settings = {
        "threads": threads,
        "repeats": values.repeats,
        "batch_sizes": sizes,
        "reference_batch_size": (
            REFERENCE_BATCH_SIZE if REFERENCE_BATCH_SIZE in sizes else sizes[0]
        ),
        "memory_batch_size": values.memory_batch_size,
        "max_call_seconds": values.max_call_seconds,
        "skipped": skipped,
    }
    return collect(rows, exported, timings, memory, settings)


def _tell_order(results):
    path = RESULTS / "throughput.json"
    reference = json.loads(path.read_text())["rows"]
    wrong, ties = compare_order(results["rows"], reference, REFERENCE_BATCH_SIZE)
    for faster, slower in wrong:
        print(f"other order than in {path}: {faster} was faster than {slower}")
    for pair in ties:
        print(f"tie: {pair[0]} and {pair[1]}")
    print(f"same order as {path}: {'no' if wrong else 'yes'} ({len(ties)} ties)")


def _write(results, folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / f"{name}.csv").write_text(report.csv_text(results))
    (folder / f"{name}.md").write_text(report.page(results))
    draw(results, folder / f"{name}.png")


if __name__ == "__main__":
    app.run(main)
