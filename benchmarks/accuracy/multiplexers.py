"""Every way of multiplexing on the embedded digits, by one recipe.

`python -m benchmarks.accuracy.multiplexers` trains the ViT, ConcatPlexer and pairs of
transform and demultiplexer of the Image Multiplexer, each from fresh weights and for
as many epochs, with N = 2. The Image Multiplexer is trained without and with a
retrieval warm-up of a third of the epochs, which then leaves two thirds for the
task. A row is written as soon as it is there; rows that are there are not trained
again.
"""

import dataclasses
import functools

import keras
from absl import app, flags, logging

import keras_concatplexer as kcp
from benchmarks.accuracy.arrays import load_digits
from benchmarks.accuracy.recipe import Recipe, TrainingCost, accuracy, train
from benchmarks.results_file import ResultsFile

SIZE = "vit_nano4"
NUM_MUX = 2
# Transform, demultiplexer, blocks that see each image alone.
PAIRS = (
    ("gaussian_hadamard", "index", 0),
    ("gaussian_hadamard", "mlp", 0),
    ("gaussian_hadamard", "mlp", 3),
    ("random_orthogonal", "key", 3),
    ("contextual", "key", 0),
    ("holographic", "unbind", 3),
)

flags.DEFINE_string("out", "build/multiplexers.jsonl", "File of the results.")
flags.DEFINE_string("data_dir", "build/data", "Where TFDS keeps the digits.")
flags.DEFINE_integer("epochs", 30, "Epochs of every row.", lower_bound=3)
flags.DEFINE_integer("seed", 0, "Seed of every row.", lower_bound=0)


def rows():
    """dict, name -> function of a ViT that returns its model, and warm-up or not."""
    table = {
        "vit": (lambda vit: vit, False),
        **{
            f"concatplexer, {scope}": (
                lambda vit, scope=scope: kcp.ConcatPlexer(
                    vit, NUM_MUX, attention_scope=scope
                ),
                False,
            )
            for scope in ("group", "image")
        },
    }
    for transform, demultiplexer, depth in PAIRS:

        def build(vit, pair=(depth, transform, demultiplexer)):
            return kcp.ImageMultiplexerViT(vit, NUM_MUX, *pair)

        name = f"{transform} + {demultiplexer}, depth {depth}"
        table[name] = build, False
        table[f"{name}, warm-up"] = build, True
    return table


def run_row(build, warmup, arrays, recipe):
    """Trains one row and returns what is known of it, a dict."""
    keras.utils.set_random_seed(recipe.seed)
    vit = kcp.vit.keras_cv_vit(SIZE, arrays.image_shape, arrays.num_classes)
    model = build(vit)
    cost = TrainingCost()
    if warmup:
        phase = dataclasses.replace(recipe, epochs=recipe.epochs // 3)
        cost += train(kcp.RetrievalWarmup(model), arrays, phase, loss=False)
        recipe = dataclasses.replace(recipe, epochs=recipe.epochs - phase.epochs)
    cost += train(model, arrays, recipe)
    return {
        "test_accuracy": accuracy(model, arrays, recipe.batch_size),
        "gmacs_per_image": kcp.flops.count(model).gmacs_per_image,
        "seconds": cost.seconds,
    }


def main(argv):
    """Trains the rows that are missing and prints all as a Markdown table."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    results = ResultsFile(flags.FLAGS.out)
    recipe = Recipe(epochs=flags.FLAGS.epochs, seed=flags.FLAGS.seed)
    arrays = load_digits(flags.FLAGS.data_dir)
    print("| model, N = 2 | test accuracy | GMACs per image | seconds |")
    print("|---|---|---|---|")
    for name, (build, warmup) in rows().items():
        key = {"name": name, "epochs": recipe.epochs, "seed": recipe.seed}
        compute = functools.partial(run_row, build, warmup, arrays, recipe)
        row = results.get(key, compute)
        print(
            f"| {name} | {row['test_accuracy']:.3f} | {row['gmacs_per_image']:.4f} "
            f"| {row['seconds']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
