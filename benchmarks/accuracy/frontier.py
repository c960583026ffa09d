"""Accuracy against speed: multiplexed models and the plain alternatives.

`python -m benchmarks.accuracy.frontier` trains ViTs, ViTs with fewer blocks, narrower
ones and ones with coarser patches, ToMe, the Image Multiplexer and ConcatPlexer by one
recipe, each on as many images in total. What starts from a trained ViT starts from one
that was trained for half of the epochs and trains for the other half. A row is written
as soon as it is there, and what is there is not trained again, so that an interrupted
run goes on, and several seeds can be trained by processes side by side.

With `--measure` it times the inference graphs instead, in turn; with `--report` it does
neither. At the end stand the table and the plot of what is there.
"""

import dataclasses
import json
import pathlib

from absl import app, flags, logging

from benchmarks import machine
from benchmarks.accuracy import (
    arrays,
    frontier_report,
    frontier_rows,
    frontier_speed,
)
from benchmarks.accuracy.batches import Batches
from benchmarks.accuracy.frontier_training import Comparison, settings
from benchmarks.accuracy.recipe import Recipe
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
    flags.DEFINE_bool("measure", False, "Time inference; train nothing.", **own)
    flags.DEFINE_bool("allow_load", False, "Measure on a busy machine too.", **own)
    flags.DEFINE_bool("report", False, "Only show what is there.", **own)
    flags.DEFINE_string("out", "benchmarks/results", "Folder of the results.", **own)
    flags.DEFINE_string("workdir", "build/frontier", "Folder of trained ViTs.", **own)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the flags ask for, checked.

    Attributes:
        names: list of str, names of trainings.
        data: `Arrays`.
        size: a name in `kcp.vit.SIZES`.
        recipes: list of `Recipe`, one per seed.
        stem: start of the paths of the results.
    """

    names: list
    data: arrays.Arrays
    size: str
    recipes: list
    stem: pathlib.Path

    @property
    def results(self):
        """The `ResultsFile` of the data set."""
        return ResultsFile(f"{self.stem}.jsonl")

    def train(self, workdir):
        """Trains what is missing; ViTs that others start from lie in `workdir`."""
        for recipe in self.recipes:
            comparison = Comparison(self.data, self.size, recipe, self.results, workdir)
            for name in self.names:
                comparison.run(name)

    def measure(self):
        """Times the inference graphs and writes what came out."""
        measured = frontier_speed.measure(
            self.names,
            self.size,
            self.data.image_shape,
            self.data.num_classes,
            self.recipes[0].batch_size,
        )
        self.stem.parent.mkdir(parents=True, exist_ok=True)
        self._speed_file.write_text(json.dumps(measured, indent=2) + "\n")

    def report(self):
        """Prints the table of all rows with these settings; writes it and the plot."""
        shared = settings(self.data, self.size, self.recipes[0])
        summaries = frontier_report.summarise(self.results.select(settings=shared))
        if not summaries:
            print("There is no row of these settings yet.")
            return
        measured = frontier_report.fronts(summaries, self._images_per_second())
        table = frontier_report.table(summaries, measured)
        print(table)
        pathlib.Path(f"{self.stem}.md").write_text(table + "\n")
        frontier_report.draw(summaries, measured, f"{self.stem}.png")

    @property
    def _speed_file(self):
        return pathlib.Path(f"{self.stem}_speed.json")

    def _images_per_second(self):
        if not self._speed_file.exists():
            return None
        speed = json.loads(self._speed_file.read_text())
        alike = frontier_speed.compared(self.size, self.data.image_shape)
        return speed["images_per_second"] if alike.items() <= speed.items() else None


def make_plan(values):
    """Returns the `Plan` of flags.

    Args:
        values: `absl.flags.FlagValues`.

    Raises:
        ValueError: for flags that cannot work.
        RuntimeError: if speed is to be measured on a busy machine.
    """
    if values.measure and not values.allow_load:
        machine.check_idle()
    seeds = _checked_seeds(values.seeds)
    machine.limit_threads(values.threads)
    names = values.rows or list(frontier_rows.trainings())
    data = arrays.load(
        values.dataset, values.data_dir, values.images, values.test_images
    )
    frontier_rows.check(
        names, values.size, data.image_shape, data.num_classes, values.epochs
    )
    recipes = [_recipe(values, data.name, seed) for seed in seeds]
    if not values.measure:
        # Tells if the images do not fill a batch.
        Batches(data.train_images, data.train_labels, values.batch_size)
    stem = pathlib.Path(values.out) / f"frontier_{data.name}"
    return Plan(names, data, values.size, recipes, stem)


def _checked_seeds(texts):
    if not texts or not all(text.strip().isdecimal() for text in texts):
        raise ValueError(
            "--seeds must name integers >= 0, as in --seeds=0,1. Received: "
            f"--seeds={','.join(texts)}"
        )
    return [int(text) for text in texts]


def _recipe(values, dataset, seed):
    flip = dataset.startswith("cifar") if values.flip is None else values.flip
    return Recipe(
        epochs=values.epochs,
        batch_size=values.batch_size,
        flip=flip,
        jit_compile=values.jit_compile,
        seed=seed,
    )


def main(argv):
    """Runs the command with the flags given."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    try:
        plan = make_plan(values)
    except (ValueError, RuntimeError) as error:
        raise SystemExit(f"benchmarks.accuracy.frontier: {error}") from error
    if values.measure:
        plan.measure()
    elif not values.report:
        plan.train(values.workdir)
    plan.report()


if __name__ == "__main__":
    define_flags()
    app.run(main)
