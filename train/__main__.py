"""Trains a ViT or a multiplexed ViT: `python -m train --workdir=runs/first`."""

import signal
import sys

from absl import flags

from savedmodel_export import command

from .config.config import Config
from .config.experiments import EXPERIMENTS
from .config.flags import config_from_flags, define_flags, given_settings

# Nothing above imports TensorFlow, which takes seconds: `main` does.
with command.topic("Command"):
    command.define_path("workdir", None, "Folder of the run's files.")
    flags.DEFINE_enum(
        "experiment",
        None,
        list(EXPERIMENTS),
        "Settings to start from, described in `config/experiments.py`; other "
        "flags change them.",
    )
    flags.DEFINE_boolean(
        "evaluate_only",
        False,
        "Train no further: evaluate what the workdir holds and write its results.",
    )
    flags.DEFINE_boolean(
        "benchmark_input",
        False,
        "Print images/s of the training data alone, and end.",
    )
define_flags()


def main():
    """Trains the model that the flags describe and prints its test score."""
    try:
        _run(flags.FLAGS)
    except ValueError as error:
        sys.exit(f"error: {error}")
    except ModuleNotFoundError as error:
        sys.exit(
            f"error: The package {error.name} is not installed. Training needs: "
            "pip install 'keras-concatplexer[train]'."
        )
    except KeyboardInterrupt:
        print(
            "error: Stopped by Ctrl-C. Run the same command to go on from the last "
            "completed epoch.",
            file=sys.stderr,
        )
        sys.exit(128 + signal.SIGINT)


def _run(values):
    workdir = values.workdir
    if not workdir and not values.benchmark_input:
        raise ValueError("--workdir must be given.")
    base = EXPERIMENTS[values.experiment]() if values.experiment else None
    if values.evaluate_only and base is None:
        base = Config.saved_in(workdir)
    config = config_from_flags(values, base)
    config.check(given_settings(values))
    if values.benchmark_input:
        from .data.input_speed import input_images_per_second

        print(f"{input_images_per_second(config):.0f} images/s")
        return
    from .callbacks.console import is_terminal
    from .callbacks.stopping import TrainingStopped
    from .data.fitting import fitting_size
    from .trainer import Run

    run = Run(config, workdir, evaluate_only=values.evaluate_only)
    if run.is_chief:
        run.model.summary(print_fn=None if is_terminal() else print)
        height, width, _ = run.data.preprocessor.image_shape
        size = f"{fitting_size(config.size, height)}, " if not config.init_from else ""
        print(
            f"{size}{run.cost.gmacs_per_image:.3g} GMACs for an image of "
            f"{height} x {width}"
        )
    try:
        results = run.fit()
    except TrainingStopped as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    score = run.objective.score
    print(
        f"test {score} {results[f'test_{score}']:.4f} (best model) on "
        f"{results['num_test_images']} images; results in {workdir}"
    )


def run():
    """Runs the command."""
    command.run(main, description=__doc__)


if __name__ == "__main__":
    run()
