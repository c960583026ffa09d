"""Images/s and memory against N, image size, batch.

`python -m benchmarks.speed.scaling` measures; beside each measurement stands what the
closed formula of the cost predicts from the ViT's own speed. ViT-S/16 and ConcatPlexer
split after 3 blocks, in bfloat16, as exported and reloaded; 6 to 8 minutes on two
cores.
"""

import json
import pathlib
import tempfile

from absl import app, flags, logging

from benchmarks import machine
from benchmarks.speed.measuring import (
    export_rows,
    memory_of,
    set_environment,
    time_rows,
)
from benchmarks.speed.results import batch_entry
from benchmarks.speed.scaling_points import (
    add_predictions,
    predicted_gmacs,
    scaling_row,
)
from benchmarks.speed.scaling_report import draw, page
from benchmarks.timing import MIN_REPEATS

flags.DEFINE_string("size", "vit_s16", "The ViT.")
flags.DEFINE_enum("precision", "bfloat16", ["float32", "bfloat16"], "Of the graphs.")
flags.DEFINE_list("num_mux", ["1", "2", "4", "8", "16"], "N; 1 must be among them.")
flags.DEFINE_integer("compared", 4, "N shown beside the ViT along the other axes.")
flags.DEFINE_list("image_sizes", ["224", "384", "512"], "Sides of the images.")
flags.DEFINE_list("batch_sizes", "1 4 8 16 32 64".split(), "At the first side.")
flags.DEFINE_integer("batch_size", 32, "Images per request where N varies.")
flags.DEFINE_integer("large_batch_size", 8, "Images where the side varies.")
flags.DEFINE_integer("repeats", MIN_REPEATS, "Rounds.", lower_bound=MIN_REPEATS)
flags.DEFINE_integer("threads", 0, "Cores; 0: all.", lower_bound=0)
flags.DEFINE_string("out", "benchmarks/results", "Folder of the results.")
flags.DEFINE_bool("allow_load", False, "Measure on a busy machine too.")


def main(argv):
    """Measures, writes the files and prints the tables."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    if not values.allow_load:
        machine.check_idle()
    threads = values.threads or machine.num_cores()
    set_environment(threads)
    all_num_mux, sides, batch_sizes = (
        [int(text) for text in given]
        for given in (values.num_mux, values.image_sizes, values.batch_sizes)
    )
    settings = {
        "size": values.size,
        "precision": values.precision,
        "threads": threads,
        "repeats": values.repeats,
        # Where the other axes stand while one varies.
        "base": {
            "num_mux": {
                "image_size": sides[0],
                "batch_size": values.batch_size,
                "compared": values.compared,
            },
            "image_size": {"batch_size": values.large_batch_size},
            "batch_size": {"image_size": sides[0]},
        },
    }
    # N and batch at the first side; the two models at every side.
    plans = [
        ([(num_mux, sides[0]) for num_mux in all_num_mux], batch_sizes),
        (
            [(n, side) for side in sides[1:] for n in (1, values.compared)],
            [values.large_batch_size],
        ),
    ]
    points = []
    with tempfile.TemporaryDirectory() as folder:
        for index, (models, sizes) in enumerate(plans):
            points += _measure(models, sizes, values, threads, f"{folder}/{index}")
    add_predictions(points)
    results = {
        "machine": machine.description(),
        "settings": settings,
        "points": points,
    }
    out = pathlib.Path(values.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "scaling.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "scaling.md").write_text(page(results))
    draw(results, out / "scaling.png")
    print(page(results))


def _measure(models, batch_sizes, values, threads, folder):
    """Returns the points of some models, pairs of N and side, at all batch sizes."""

    def log(text):
        print(text, flush=True)

    rows = {
        model: scaling_row(values.size, *model, values.precision) for model in models
    }
    exported = export_rows(list(rows.values()), folder, log)
    paths = {name: costs["path"] for name, costs in exported.items()}
    timings = time_rows(
        *(list(rows.values()), paths, threads, batch_sizes, values.repeats, 0.2, log)
    )
    points = []
    for (num_mux, side), row in rows.items():
        for batch_size in batch_sizes:
            stages = exported[row.name]["gmacs_by_stage"]
            memory = memory_of(row, paths[row.name], threads, batch_size)
            points.append(
                {
                    "num_mux": num_mux,
                    "image_size": side,
                    "batch_size": batch_size,
                    "gmacs": predicted_gmacs(stages, num_mux, batch_size),
                    "peak_memory_mib": memory / 2**20,
                    **batch_entry(timings[batch_size][row.name], batch_size),
                }
            )
    return points


if __name__ == "__main__":
    app.run(main)
