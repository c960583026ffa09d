"""What is left of an export's speed when it scores JPEG files from a folder.

`python -m benchmarks.speed.scoring` exports ViT-B/16 and ConcatPlexer N = 4 with random
weights, makes JPEG files of 224 pixels, and times in turn the export alone on ready
arrays and a shard of files, as `savedmodel_export.scoring` scores it after its start
and first call. Files and exports stay in `--workdir`; `--prepare_only` makes them in
advance, and `--rows` picks some rows, so that a busy day has room for the timings.
"""

import dataclasses
import re
import statistics

from absl import flags

from benchmarks import command, folders, machine
from benchmarks.markdown import number, percent, table
from benchmarks.results_file import ResultsFile
from benchmarks.speed.rows import ALL_PRECISIONS, concat_row, vit_row

NUM_FILES = 2_000
ROWS = tuple(
    row
    for precision in ALL_PRECISIONS
    for row in (vit_row("vit_b16", precision), concat_row("vit_b16", 4, precision))
)


def define_flags():
    """Defines the command's flags."""
    command.define_path("workdir", "build/scoring", "Folder of files and exports.")
    command.define_path("out", "benchmarks/results", "Folder of the results.")
    flags.DEFINE_string("rows", "", "Regular expression of the rows; all by default.")
    flags.DEFINE_string("size", "vit_b16", "Size of the ViT.")
    flags.DEFINE_integer("batch_size", 32, "Images per call.", 1)
    flags.DEFINE_integer("repeats", 3, "Rounds.", 1)
    flags.DEFINE_float("seconds", 10.0, "About so long each timing takes.", 0.1)
    flags.DEFINE_bool("prepare_only", False, "Make files and exports, and end.")
    command.define_allow_load()


def main(values):
    """Measures the rows, appends the results and prints the table."""
    out, workdir = folders.own(values.out), folders.own(values.workdir)
    rows = [
        dataclasses.replace(row, size=values.size)
        for row in ROWS
        if re.search(values.rows, row.name)
    ]
    if not rows:
        names = "; ".join(row.name for row in ROWS)
        raise ValueError(f"--rows={values.rows} is none of: {names}")
    if not values.prepare_only:
        # Before the exports: their own load is no one else's.
        command.check_idle(values)
    machine.set_environment(machine.num_cores())
    from benchmarks.speed.scoring.files import make_files

    files = make_files(workdir / "images", NUM_FILES, rows[0].image_size)
    versions = exports(rows, workdir)
    if values.prepare_only:
        return
    results = ResultsFile(out / "scoring.jsonl")
    for row in rows:
        measured = measure(row, versions[row.name], files, workdir, values)
        results.append({"row": row.name, **measured, "machine": machine.description()})
    print(rates_table(results.rows()))


def exports(rows, workdir):
    """Returns dict, row name -> version folder; what is there is not made again."""
    versions = {}
    for row in rows:
        # A folder of its own for each: numbers would meet those of earlier runs.
        folder = workdir / "exports" / re.sub(r"\W+", "_", row.name)
        # A version that has its name is whole.
        found = sorted(folder.glob("*/[0-9]*/saved_model.pb"))
        if found:
            versions[row.name] = str(found[-1].parent)
        else:
            from benchmarks.speed.measuring import export_rows

            versions[row.name] = export_rows([row], folder)[row.name]["path"]
    return versions


def measure(row, version, files, workdir, values):
    """Times the export alone and the scoring of files in turn, in one process.

    Returns:
        dict, what a line of the results holds.
    """
    from benchmarks.speed.worker import Worker

    target = "benchmarks.speed.scoring.scorer:Scorer"
    arguments = (version, list(map(str, files)), str(workdir), values.batch_size)
    with Worker(target, *arguments, row.image_size) as worker:
        # The first calls prepare the graphs.
        for name in ("score", "alone"):
            worker.call(name, 1)
        seconds = worker.call("alone", 1)["seconds"]
        room = len(files) // values.batch_size
        batches = min(max(2, round(values.seconds / seconds)), room)
        rounds = {"alone": [], "score": []}
        for _ in range(values.repeats):
            for name, taken in rounds.items():
                taken.append(worker.call(name, batches))
        decode = worker.call("decode", batches)
    images = batches * values.batch_size
    rates = {
        name: [images / each["seconds"] for each in taken]
        for name, taken in rounds.items()
    }
    processor = {
        name: statistics.median(each["processor_seconds"] for each in taken) / images
        for name, taken in rounds.items()
    }
    return {
        "images": images,
        "batch_size": values.batch_size,
        "repeats": values.repeats,
        "alone": [round(rate, 2) for rate in rates["alone"]],
        "files": [round(rate, 2) for rate in rates["score"]],
        "processor_seconds_alone": processor["alone"],
        "processor_seconds_files": processor["score"],
        "processor_seconds_decode": decode["processor_seconds"] / images,
    }


def rates_table(rows):
    """Returns the newest result of each row as a Markdown table."""
    lines = []
    for row in {row["row"]: row for row in rows}.values():
        alone, files = (statistics.median(row[name]) for name in ("alone", "files"))
        decode = row["processor_seconds_decode"] / row["processor_seconds_files"]
        lines.append(
            [
                row["row"],
                f"{row['repeats']} x {row['images']}",
                number(alone, 1),
                number(files, 1),
                number(files / alone, 3),
                percent(decode),
            ]
        )
    columns = ["model", "images", "arrays, images/s", "files, images/s", "ratio"]
    return table([*columns, "decoding, % of the processor time"], lines)


if __name__ == "__main__":
    command.run(main, define_flags)
