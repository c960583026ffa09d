"""Whether drawing the slots anew in training makes the slots alike.

`python -m benchmarks.accuracy.slot_bias` trains ConcatPlexer with N = 4 and attention
in the group on the embedded digits by one recipe, with and without `shuffle_slots`, and
prints the accuracy per slot of each. A row is written as soon as it is there; rows that
are there are not trained again.
"""

import functools

import keras
from absl import app, flags, logging

import keras_concatplexer as kcp
from benchmarks.accuracy.arrays import load_digits
from benchmarks.accuracy.recipe import Recipe, train
from benchmarks.results_file import ResultsFile

SIZE, NUM_MUX = "vit_nano4", 4


def define_flags():
    """Defines the flags of this command."""
    flags.DEFINE_string("out", "build/slot_bias.jsonl", "File of the results.")
    flags.DEFINE_string("data_dir", "build/data", "Where TFDS keeps the digits.")
    flags.DEFINE_integer("epochs", 12, "Of every row.", lower_bound=1)
    flags.DEFINE_list("seeds", ["0", "1"], "Seeds of every row.")
    flags.DEFINE_integer("num_draws", 32, "Of the test images.", lower_bound=2)


def run_row(arrays, recipe, shuffle_slots, num_draws):
    """Trains one row and returns what is known of it, a dict."""
    keras.utils.set_random_seed(recipe.seed)
    vit = kcp.vit.keras_cv_vit(SIZE, arrays.image_shape, arrays.num_classes)
    model = kcp.ConcatPlexer(
        vit, NUM_MUX, shuffle_slots=shuffle_slots, seed=recipe.seed
    )
    cost = train(model, arrays, recipe)
    result = kcp.analysis.interference(
        model, arrays.test_images, arrays.test_labels, num_draws
    )
    slots = model.get_layer("multiplexer").slot_embedding.embedding
    return {
        "between_slots": between_slots(result),
        # How long the slots' vectors have become, in the root mean square.
        "slot_vectors": float(keras.ops.sqrt(keras.ops.mean(slots**2))),
        **result.to_dict(),
        "seconds": cost.seconds,
    }


def between_slots(result):
    """Best minus worst accuracy of a slot of an `Interference`."""
    accuracies = [slot.accuracy for slot in result.slot_accuracy]
    return max(accuracies) - min(accuracies)


def table_line(row):
    """Returns one row of the Markdown table."""
    slots = " / ".join(f"{100 * slot['accuracy']:.2f}" for slot in row["slot_accuracy"])
    return (
        f"| {'yes' if row['shuffle_slots'] else 'no'} | {row['seed']} "
        f"| {100 * row['accuracy']:.2f} | {slots} | {100 * row['between_slots']:.2f} "
        f"| {100 * row['flip_rate']:.2f} | {row['spread']:.4f} "
        f"| {row['feature_similarity']:.4f} | {row['slot_vectors']:.4f} |"
    )


def main(argv):
    """Trains the rows that are missing and prints all as a Markdown table."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    done, arrays = ResultsFile(values.out), load_digits(values.data_dir)
    print(
        "| shuffled | seed | accuracy, % | per slot, % | best - worst slot, points "
        "| flips, % | spread | cosine | slot vectors |"
    )
    print("|" + "---|" * 9)
    for shuffle_slots in (False, True):
        for seed in map(int, values.seeds):
            recipe = Recipe(epochs=values.epochs, seed=seed)
            key = {
                "shuffle_slots": shuffle_slots,
                "seed": seed,
                "epochs": values.epochs,
                "num_draws": values.num_draws,
            }
            compute = functools.partial(
                run_row, arrays, recipe, shuffle_slots, values.num_draws
            )
            print(table_line(done.get(key, compute)), flush=True)


if __name__ == "__main__":
    define_flags()
    app.run(main)
