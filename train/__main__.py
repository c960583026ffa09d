"""Command line: `python -m train --dataset=digits --workdir=runs/first`."""

import sys

from absl import app, flags, logging

import train.config_flags
from train.config_flags import config_from_flags, define_flags
from train.experiments import EXPERIMENTS
from train.input_benchmark import input_images_per_second
from train.stopping import TrainingStopped
from train.trainer import Run

define_flags()
# So that `--help` shows them, too.
flags.adopt_module_key_flags(train.config_flags)
flags.DEFINE_string("workdir", None, "Folder of the run's files.")
flags.DEFINE_enum(
    "experiment",
    None,
    list(EXPERIMENTS),
    "Settings to start from, described in train/experiments.py; other flags change "
    "them.",
)
flags.DEFINE_boolean(
    "benchmark_input", False, "Print images/s of the training data alone, and end."
)


def main(argv):
    """Trains the model that the flags describe and prints its test accuracy."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    experiment = EXPERIMENTS.get(flags.FLAGS.experiment)
    config = config_from_flags(flags.FLAGS, experiment and experiment())
    workdir = flags.FLAGS.workdir
    try:
        if flags.FLAGS.benchmark_input:
            print(f"{input_images_per_second(config):.0f} images/s")
            return
        if not workdir:
            raise ValueError("--workdir must be given.")
        run = Run(config, workdir)
    except ValueError as error:
        sys.exit(f"error: {error}")
    if run.is_chief:
        run.model.summary()
    try:
        results = run.fit()
    except TrainingStopped as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(
        f"test accuracy {results['test_accuracy']:.4f} (best model) on "
        f"{results['num_test_images']} images; results in {workdir}"
    )


if __name__ == "__main__":
    app.run(main)
