"""Command line: `python -m savedmodel_export --workdir=RUN --export_dir=DIR`."""

import json
import pathlib
import sys

import keras
from absl import app, flags, logging

from keras_concatplexer import bundle
from savedmodel_export.decoding import DEFAULT_MAX_PIXELS
from savedmodel_export.exporter import export
from savedmodel_export.fused.classifier import PRECISIONS
from savedmodel_export.other_formats import FORMATS, export_other
from savedmodel_export.serving.configuration import write_serving_files
from savedmodel_export.signatures import INPUT_DTYPES
from savedmodel_export.verify.verification import VerificationError

SAVED_MODEL = "tf_saved_model"

flags.DEFINE_string("workdir", None, "Folder of a training run.", required=True)
flags.DEFINE_string("export_dir", None, "Folder of the versions.", required=True)
flags.DEFINE_enum(
    "checkpoint", "best", bundle.CHECKPOINTS, "Which of the run's models."
)
flags.DEFINE_enum(
    "format", SAVED_MODEL, (SAVED_MODEL, *FORMATS), "For TensorFlow Serving, or others."
)
flags.DEFINE_bool("fuse", True, "Export the fused graph, faster on a CPU.")
flags.DEFINE_enum("precision", "float32", PRECISIONS, "Of the fused graph.")
flags.DEFINE_enum("input_dtype", "float32", INPUT_DTYPES, "Type of the flat images.")
flags.DEFINE_integer(
    "max_pixels", DEFAULT_MAX_PIXELS, "Refuse larger encoded images.", lower_bound=1
)
flags.DEFINE_integer(
    "max_batch_size", 32, "Largest batch the server may form.", lower_bound=1
)
flags.DEFINE_integer(
    "default_num_mux",
    None,
    "Images per sequence where a request names none, of an elastic model; its first.",
)
flags.DEFINE_integer("keep", None, "Versions to keep; all by default.", lower_bound=1)
flags.DEFINE_bool(
    "serving_files", True, "Write models.config, serve.sh ... beside the export_dir."
)


def main(argv):
    """Exports the model of a training run and prints the version folder."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    try:
        description = bundle.read_description(values.workdir)
        keras.config.set_dtype_policy(description.dtype_policy)
        model = bundle.load_model(values.workdir, values.checkpoint)
        parts = (
            *(model, description.preprocessor, description.class_names),
            values.export_dir,
        )
        common = {
            "keep": values.keep,
            "details": training_details(values.workdir, values.checkpoint),
        }
        if values.format == SAVED_MODEL:
            version = export(
                *parts,
                fuse=values.fuse,
                precision=values.precision,
                input_dtype=values.input_dtype,
                max_pixels=values.max_pixels,
                max_batch_size=values.max_batch_size,
                default_num_mux=values.default_num_mux,
                **common,
            )
            if values.serving_files:
                write_serving_files(values.export_dir)
        else:
            version = export_other(*parts, values.format, **common)
    except (ValueError, VerificationError) as error:
        sys.exit(f"error: {error}")
    print(version)


def training_details(workdir, checkpoint):
    """Returns what a run's files say of its training, for the model card."""

    def read(name):
        path = pathlib.Path(workdir) / name
        return json.loads(path.read_text()) if path.is_file() else {}

    config, results = read("config.json"), read("results.json")
    return {
        "dataset": config.get("dataset"),
        "test_accuracy": results.get(checkpoint, {}).get("accuracy"),
        "checkpoint": checkpoint,
        "training_config": config,
    }


if __name__ == "__main__":
    app.run(main)
