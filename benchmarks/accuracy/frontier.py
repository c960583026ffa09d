"""Accuracy against speed: multiplexed models and the plain alternatives.

`python -m benchmarks.accuracy.frontier --protocol=A --dataset=cifar10 --data_dir=DATA`
trains the rows of a protocol by `python -m train`, each as often as there are seeds.
A row is written as soon as it is there and not trained again; a training that was
interrupted goes on from its last epoch; processes may train rows side by side.

With `--measure` it times the trained models' inference graphs instead, in turn; with
`--report` it does neither. At the end stand the table and the plot of what is there.
"""

import json
import pathlib

from absl import flags

from benchmarks import command, folders
from benchmarks.accuracy import frontier_report
from benchmarks.accuracy.frontier_rows import (
    DATASETS,
    PROTOCOLS,
    TEACHER_EPOCHS,
    chosen_rows,
)
from benchmarks.results_file import ResultsFile
from benchmarks.trained import num_images


def define_flags():
    """Defines the command's flags."""
    flags.DEFINE_enum("protocol", "A", list(PROTOCOLS), "What the rows start from.")
    flags.DEFINE_enum("dataset", "cifar10", list(DATASETS), "TFDS data set.")
    command.define_path("data_dir", None, "Where TFDS keeps it.")
    flags.DEFINE_list("seeds", ["0"], "Seeds of every row.")
    flags.DEFINE_multi_string("row", [], "A row to train; repeatable. Default: all.")
    command.define_path("teacher", None, "Workdir of a trained ViT. Default: trained.")
    flags.DEFINE_integer("epochs", 0, "Of a row; 0: the protocol's.", 0)
    flags.DEFINE_integer("teacher_epochs", TEACHER_EPOCHS, "Of the teacher.", 1)
    flags.DEFINE_string("train_split", "train[:98%]", "TFDS split to train on.")
    flags.DEFINE_string("test_split", "test", "TFDS split of the results.")
    flags.DEFINE_integer("batch_size", 32, "Images of a request, for --measure.", 1)
    flags.DEFINE_bool("measure", False, "Time inference; train nothing.")
    flags.DEFINE_bool("report", False, "Only show what is there.")
    command.define_path("out", "benchmarks/results", "Folder of the results.")
    command.define_path("workdir", "build/frontier", "Folder of the trainings.")
    command.define_allow_load()


def main(values):
    """Trains or measures the rows that are asked for, and shows what is there."""
    from benchmarks.accuracy import frontier_speed
    from benchmarks.accuracy.frontier_training import Comparison

    if values.measure:
        command.check_idle(values)
    protocol = PROTOCOLS[values.protocol]
    rows, seeds = chosen_rows(protocol, values.row), checked_seeds(values.seeds)
    stem = folders.own(values.out) / f"frontier_{values.protocol}_{values.dataset}"
    comparison = Comparison(
        values.protocol,
        values.dataset,
        values.data_dir or "",
        folders.own(values.workdir),
        ResultsFile(f"{stem}.jsonl"),
        values.train_split,
        values.test_split,
        num_images(values.dataset, values.data_dir, values.train_split),
        values.epochs,
        values.teacher_epochs,
        values.teacher,
    )
    speeds = pathlib.Path(f"{stem}_speed.json")
    if values.measure:
        models = {
            name: (comparison.model(row, seeds[0]), num_mux)
            for row in rows
            for name, num_mux in row.results
        }
        calibration = comparison.calibration_images(rows[0], seeds[0])
        measured = frontier_speed.measure(models, values.batch_size, calibration)
        speeds.write_text(json.dumps(measured, indent=2) + "\n")
    elif not values.report:
        comparison.prepare_teacher(rows)
        for seed in seeds:
            for row in rows:
                comparison.run(row, seed)
    report(protocol, comparison.results, speeds, stem)


def report(protocol, results, speeds, stem):
    """Prints the table of all rows that are there; writes it and the plot.

    Args:
        protocol: `Protocol`.
        results: `ResultsFile`.
        speeds: path of what `frontier_speed.measure` returned, if it is there.
        stem: path of the files without their endings.
    """
    rates = None
    if speeds.exists():
        rates = json.loads(speeds.read_text())["images_per_second"]
    summaries = frontier_report.summarise(results.rows(), protocol.rows, rates)
    if not summaries:
        print("There is no row yet.")
        return
    text = frontier_report.frontier_table(summaries)
    print(text)
    pathlib.Path(f"{stem}.md").write_text(text + "\n")
    frontier_report.draw(summaries, protocol.title, f"{stem}.png")


def checked_seeds(texts):
    """Returns list of int.

    Raises:
        ValueError: if a text is no such number, or there is none.
    """
    if not texts or not all(text.strip().isdecimal() for text in texts):
        raise ValueError(
            "--seeds must name integers >= 0, as in --seeds=0,1. Received: "
            f"--seeds={','.join(texts)}"
        )
    return [int(text) for text in texts]


if __name__ == "__main__":
    command.run(main, define_flags)
