"""Images per second of exported models and of other runtimes, interleaved.

`python -m benchmarks.speed.throughput` exports ViT-B/16 as the plain Keras graph and as
the fused graph, the multiplexed models, other sizes, and the same ViT for the other
runtimes that are installed; reloads them, each runtime in a process of its own, and
times all rows in turn, round by round, so that all meet the same machine. It writes
JSON, CSV, Markdown and PNG after each batch size. Half an hour on two cores; `--quick`
takes two and tells whether its few rows come in the order of the last full run.
"""

import dataclasses
import json
import pathlib
import re
import tempfile

from absl import flags

from benchmarks import command, folders, machine
from benchmarks.speed import report
from benchmarks.speed.measuring import export_rows, log, memory_of, time_rows
from benchmarks.speed.results import REFERENCE_BATCH_SIZE, collect, compare_order
from benchmarks.speed.rows import GEMMS, full_rows, quick_rows
from benchmarks.speed.runtimes import installed
from benchmarks.timing import MIN_REPEATS

RESULTS = pathlib.Path("benchmarks/results")


def define_flags():
    """Defines the command's flags."""
    flags.DEFINE_bool(
        "quick", False, "A few rows at batch 8, compared with the last run."
    )
    flags.DEFINE_list("batch_sizes", ["1", "8", "32", "128"], "Images per request.")
    flags.DEFINE_string("rows", "", "Regular expression: only the rows it finds.")
    flags.DEFINE_integer("image_size", 224, "Side of the images.", 1)
    flags.DEFINE_integer("repeats", MIN_REPEATS, "Rounds.", MIN_REPEATS)
    flags.DEFINE_float("min_seconds", 0.25, "A row is repeated so long in each round.")
    flags.DEFINE_float(
        "max_call_seconds",
        8.0,
        "Leave out a row at a batch size whose call takes longer.",
    )
    flags.DEFINE_integer("threads", 0, "Cores of every runtime; 0: all.", 0)
    flags.DEFINE_integer("memory_batch_size", 32, "Images per request, peak memory.", 1)
    command.define_path("out", "", "Folder of the results.")
    flags.DEFINE_string("name", "throughput", "Name of the files there.")


def main(values):
    """Measures, writes the files and prints the table."""
    folder = folders.own(values.out or ("build/speed" if values.quick else RESULTS))
    sizes = sorted(int(size) for size in values.batch_sizes)
    if values.quick:
        sizes = [REFERENCE_BATCH_SIZE]
    log(json.dumps(machine.description()))
    rows, skipped = installed(
        [
            dataclasses.replace(row, image_size=values.image_size)
            for row in (quick_rows() if values.quick else full_rows())
            if re.search(values.rows, row.name)
        ]
    )
    if not rows:
        raise ValueError(
            f"No row that can be measured. Received: --rows={values.rows}; not "
            f"measured: {skipped or 'none'}"
        )
    for name, reason in skipped.items():
        log(f"not measured: {name} ({reason})")
    name = f"{values.name}_quick" if values.quick else values.name
    for results in measure(rows, sizes, values, skipped):
        _write(results, folder, name)
    print(report.page(results))
    if values.quick:
        _tell_order(results)


def measure(rows, sizes, values, skipped):
    """Exports and measures rows.

    Yields:
        What `results.collect` returns: after each batch size, of all until then, and
        at the end with the memory.
    """
    threads = values.threads or machine.num_cores()
    machine.set_environment(threads)
    settings = {
        "threads": threads,
        "repeats": values.repeats,
        "memory_batch_size": values.memory_batch_size,
        "max_call_seconds": values.max_call_seconds,
        "skipped": skipped,
    }
    with tempfile.TemporaryDirectory() as folder:
        exported = export_rows(rows, folder)
        paths = {name: row["path"] for name, row in exported.items()}
        timings, memory = {}, {}
        for batch_size, taken in time_rows(
            [*rows, *GEMMS],
            paths,
            threads,
            sizes,
            values.repeats,
            values.min_seconds,
            values.max_call_seconds,
        ):
            timings[batch_size] = taken
            yield collect(rows, exported, timings, memory, settings)
        if not values.quick:
            for row in rows:
                memory[row.name] = memory_of(
                    row, paths[row.name], threads, values.memory_batch_size
                )
            yield collect(rows, exported, timings, memory, settings)


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
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / f"{name}.csv").write_text(report.csv_text(results))
    (folder / f"{name}.md").write_text(report.page(results))
    report.draw(results, folder / f"{name}.png")


if __name__ == "__main__":
    command.run(main, define_flags, measures=True)
