"""Every way of multiplexing on the embedded digits, by one recipe.

`python -m benchmarks.accuracy.multiplexers` trains the ViT, ConcatPlexer and pairs of
transform and demultiplexer of the Image Multiplexer, each from fresh weights, with
N = 2. A row is written as soon as it is there; rows that are there are not trained
again, and a training that was interrupted goes on.
"""

import functools
import pathlib

from absl import flags

from benchmarks import command, folders, trainings
from benchmarks.markdown import number, percent, table
from benchmarks.results_file import ResultsFile

NUM_MUX = 2
RECIPE = {"dataset": "digits", "size": "vit_nano4", "augmentation": "shift"}
# Transform, demultiplexer, blocks that see each image alone.
PAIRS = (
    ("gaussian_hadamard", "index", 0),
    ("gaussian_hadamard", "mlp", 0),
    ("gaussian_hadamard", "mlp", 3),
    ("random_orthogonal", "key", 3),
    ("contextual", "key", 0),
    ("holographic", "unbind", 3),
)


def define_flags():
    """Defines the command's flags."""
    command.define_path("out", "build/multiplexers", "Folder of rows and trainings.")
    flags.DEFINE_integer("epochs", 30, "Epochs of every row.", 1)
    flags.DEFINE_integer("seed", 0, "Seed of every row.", 0)


def rows():
    """Returns dict, name of a row -> settings of its model."""
    found = {"vit": {"model": "vit"}}
    for scope in ("group", "image"):
        found[f"concatplexer, {scope}"] = {
            "model": "concatplexer",
            "num_mux": NUM_MUX,
            "attention_scope": scope,
        }
    for transform, demultiplexer, depth in PAIRS:
        found[f"{transform} + {demultiplexer}, depth {depth}"] = {
            "model": "image_multiplexer",
            "num_mux": NUM_MUX,
            "patchifier_depth": depth,
            "transform": transform,
            "demultiplexer": demultiplexer,
        }
    return found


def run_row(folder, settings):
    """Trains one row and returns what is kept of it, a dict."""
    results = trainings.train(folder, settings)
    kept = ("test_accuracy", "gmacs_per_image", "training_seconds")
    return {name: results[name] for name in kept}


def main(values):
    """Trains the rows that are missing and prints all as a Markdown table."""
    out = folders.own(values.out)
    results = ResultsFile(out / "multiplexers.jsonl")
    shared = {**RECIPE, "epochs": values.epochs, "seed": values.seed}
    shared["data_dir"] = str(out / "data")
    lines = []
    for index, (name, settings) in enumerate(rows().items()):
        key = {"name": name, "epochs": values.epochs, "seed": values.seed}
        folder = out / f"e{values.epochs}_s{values.seed}" / str(index)
        compute = functools.partial(run_row, pathlib.Path(folder), shared | settings)
        row = results.get(key, compute)
        lines.append(
            [
                name,
                percent(row["test_accuracy"]),
                number(row["gmacs_per_image"], 4),
                number(row["training_seconds"], 0),
            ]
        )
    columns = ["model, N = 2", "test accuracy, %", "GMACs per image", "seconds"]
    print(table(columns, lines))


if __name__ == "__main__":
    command.run(main, define_flags)
