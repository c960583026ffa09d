"""Command line: `python -m train --dataset=digits --workdir=runs/first`."""

import sys

from absl import app, flags, logging

from train.config import config_from_flags, define_flags
from train.trainer import Run

define_flags()
flags.DEFINE_string("workdir", None, "Folder of the run's files.", required=True)


def main(argv):
    """Trains the model that the flags describe and prints its test accuracy."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    try:
        run = Run(config_from_flags(flags.FLAGS), flags.FLAGS.workdir)
    except ValueError as error:
        sys.exit(f"error: {error}")
    run.model.summary()
    results = run.fit()
    print(
        f"test accuracy {results['test_accuracy']:.4f} (best model) on "
        f"{results['num_test_images']} images; results in {flags.FLAGS.workdir}"
    )


if __name__ == "__main__":
    flags.FLAGS.set_default("verbosity", logging.WARNING)
    app.run(main)
