"""Command line: `python -m savedmodel_export --workdir=RUN --export_dir=DIR`."""

import sys

import keras
from absl import app, flags, logging

from keras_concatplexer import bundle
from savedmodel_export.exporter import export

flags.DEFINE_string("workdir", None, "Folder of a training run.", required=True)
flags.DEFINE_string("export_dir", None, "Folder of the versions.", required=True)
flags.DEFINE_enum(
    "checkpoint", "best", bundle.CHECKPOINTS, "Which of the run's models."
)


def main(argv):
    """Exports the model of a training run and prints the version folder."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    values = flags.FLAGS
    try:
        description = bundle.read_description(values.workdir)
        keras.config.set_dtype_policy(description.dtype_policy)
        model = bundle.load_model(values.workdir, values.checkpoint)
        version = export(
            model, description.preprocessor, description.class_names, values.export_dir
        )
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(version)


if __name__ == "__main__":
    flags.FLAGS.set_default("verbosity", logging.WARNING)
    app.run(main)
