"""Accuracy against speed: multiplexed models and the plain alternatives.

`python -m benchmarks.frontier` trains ViTs, ViTs with fewer blocks, narrower ones and
ones with coarser patches, ToMe, the Image Multiplexer and ConcatPlexer by one recipe,
each on as many images in total. What starts from a trained ViT starts from one that
was trained for half of the epochs and trains for the other half. A row is written as
soon as it is there, and what is there is not trained again, so that an interrupted
run goes on, and several seeds can be trained by processes side by side.
"""

import pathlib

from absl import app, flags, logging

from benchmarks import arrays, frontier_rows, machine
from benchmarks.frontier_training import Comparison
from benchmarks.recipe import Recipe
from benchmarks.results_file import ResultsFile


def define_flags(flag_values=flags.FLAGS):
    """Defines the command's flags."""
    own = {"flag_values": flag_values}
    flags.DEFINE_string(
        "dataset", "digits", "digits, a TFDS set, or the path of an .npz file.", **own
    )
    flags.DEFINE_string("data_dir", None, "Where TFDS keeps its sets.", **own)
    flags.DEFINE_integer("images", 0, "Training images; 0: all.", 0, **own)
    flags.DEFINE_integer("test_images", 0, "Test images; 0: all.", 0, **own)
    flags.DEFINE_integer("epochs", 16, "Epochs of a full training.", 1, **own)
    flags.DEFINE_integer("batch_size", 64, "Images per step.", 1, **own)
    flags.DEFINE_bool(
        "flip", None, "Mirror training images at random; default: CIFAR only.", **own
    )
    flags.DEFINE_list("seeds", ["0", "1"], "Seeds of every training.", **own)
    flags.DEFINE_list("rows", [], "Trainings to do; default: all.", **own)
    flags.DEFINE_string("size", "vit_nano4", "Size of the ViT.", **own)
    flags.DEFINE_integer("threads", 0, "Threads of an operation; 0: all.", 0, **own)
    flags.DEFINE_bool("jit_compile", False, "Train with XLA on TensorFlow.", **own)
    flags.DEFINE_string("out", "benchmarks/results", "Folder of the results.", **own)
    flags.DEFINE_string("workdir", "build/frontier", "Folder of trained ViTs.", **own)


def run(values):
    """Trains what is missing.

    Args:
        values: `absl.flags.FlagValues`.
    """
    machine.limit_threads(values.threads)
    names = values.rows or list(frontier_rows.trainings())
    data = arrays.load(
        values.dataset, values.data_dir, values.images, values.test_images
    )
    frontier_rows.check(
        names, values.size, data.image_shape, data.num_classes, values.epochs
    )
    flip = data.name.startswith("cifar") if values.flip is None else values.flip
    results = ResultsFile(pathlib.Path(values.out) / f"frontier_{data.name}.jsonl")
    for seed in map(int, values.seeds):
        recipe = Recipe(
            epochs=values.epochs,
            batch_size=values.batch_size,
            flip=flip,
            jit_compile=values.jit_compile,
            seed=seed,
        )
        comparison = Comparison(data, values.size, recipe, results, values.workdir)
        for name in names:
            comparison.run(name)


def main(argv):
    """Runs the command with the flags given."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    try:
        run(flags.FLAGS)
    except ValueError as error:
        raise app.UsageError(str(error)) from error


if __name__ == "__main__":
    define_flags()
    app.run(main)
