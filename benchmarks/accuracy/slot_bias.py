"""Whether drawing the slots anew in training makes the slots alike.

`python -m benchmarks.accuracy.slot_bias` trains ConcatPlexer with N = 4 and attention
in the group on the embedded digits by one recipe, with and without `--shuffle_slots`,
and prints the accuracy per slot of each. A row is written as soon as it is there; rows
that are there are not trained again, and a training that was interrupted goes on.
"""

import functools

import numpy as np
from absl import flags

from benchmarks import command, folders, trained, trainings
from benchmarks.markdown import number, percent, table
from benchmarks.results_file import ResultsFile

RECIPE = {
    "dataset": "digits",
    "size": "vit_nano4",
    "augmentation": "shift",
    "model": "concatplexer",
    "num_mux": 4,
    "attention_scope": "group",
}
COLUMNS = (
    "shuffled",
    "seed",
    "accuracy, %",
    "per slot, %",
    "best - worst slot, points",
    "flips, %",
    "spread",
    "cosine",
    "slot vectors",
)


def define_flags():
    """Defines the command's flags."""
    command.define_path("out", "build/slot_bias", "Folder of rows and trainings.")
    flags.DEFINE_integer("epochs", 12, "Of every row.", 1)
    flags.DEFINE_list("seeds", ["0", "1"], "Seeds of every row.")
    flags.DEFINE_integer("num_draws", 32, "Of the test images.", 2)


def run_row(folder, settings, num_draws):
    """Trains one row and returns what is known of it, a dict."""
    trainings.train(folder, settings)
    model, images, labels = trained.load_arrays(
        folder, settings["dataset"], settings["data_dir"]
    )
    return describe(model, images, labels, num_draws)


def describe(model, images, labels, num_draws):
    """Returns what the slots of a trained ConcatPlexer do, a dict."""
    from keras_concatplexer.analysis import interference

    result = interference(model, images, labels, num_draws)
    accuracies = [slot.accuracy for slot in result.slot_accuracy]
    vectors = np.asarray(model.get_layer("multiplexer").slot_embedding.embedding)
    return {
        "between_slots": max(accuracies) - min(accuracies),
        # How long the slots' vectors have become, in the root mean square.
        "slot_vectors": float(np.sqrt(np.mean(vectors**2))),
        **result.to_dict(),
    }


def table_line(row):
    """Returns one line of the table, list of str."""
    return [
        "yes" if row["shuffle_slots"] else "no",
        str(row["seed"]),
        percent(row["accuracy"], 2),
        " / ".join(percent(slot["accuracy"], 2) for slot in row["slot_accuracy"]),
        percent(row["between_slots"], 2),
        percent(row["flip_rate"], 2),
        number(row["spread"], 4),
        number(row["feature_similarity"], 4),
        number(row["slot_vectors"], 4),
    ]


def main(values):
    """Trains the rows that are missing and prints all as a Markdown table."""
    out = folders.own(values.out)
    results, lines = ResultsFile(out / "slot_bias.jsonl"), []
    for shuffle_slots in (False, True):
        for seed in map(int, values.seeds):
            key = {
                "shuffle_slots": shuffle_slots,
                "seed": seed,
                "epochs": values.epochs,
                "num_draws": values.num_draws,
            }
            settings = {
                **RECIPE,
                "data_dir": str(out / "data"),
                "shuffle_slots": shuffle_slots,
                "seed": seed,
                "epochs": values.epochs,
            }
            name = f"{'shuffled' if shuffle_slots else 'fixed'}_{values.epochs}_{seed}"
            compute = functools.partial(run_row, out / name, settings, values.num_draws)
            lines.append(table_line(results.get(key, compute)))
    print(table(COLUMNS, lines))


if __name__ == "__main__":
    command.run(main, define_flags)
