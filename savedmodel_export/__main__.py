"""Exports the model of a training run, checked and published as a new version.

`python -m savedmodel_export --workdir=runs/first --export_dir=served/first`
"""

import sys

from absl import flags

from savedmodel_export import command
from savedmodel_export.choices import (
    CALIBRATION_IMAGES,
    INPUT_DTYPES,
    INT8,
    INT8_MIN_AGREEMENT,
    MAX_BATCH_SIZE,
    PRECISIONS,
    SAVED_MODEL,
)
from savedmodel_export.formats import FORMATS

with command.topic("From where to where"):
    command.define_path("workdir", None, "Folder of a training run.", required=True)
    command.define_path("export_dir", None, "Folder of the versions.", required=True)
    flags.DEFINE_string("checkpoint", "best", "Which of the run's models: best, last.")
    flags.DEFINE_integer(
        "keep",
        None,
        "Versions to keep; all by default. Labelled ones stay.",
        lower_bound=1,
    )
with command.topic("Form"):
    flags.DEFINE_enum(
        "format",
        SAVED_MODEL,
        (SAVED_MODEL, *FORMATS),
        "For TensorFlow Serving, or a file of another runtime.",
    )
# Their names are those of the parameters of `export`.
with command.topic(f"Of --format={SAVED_MODEL}") as options:
    flags.DEFINE_bool("fuse", True, "Export the fused graph, faster on a CPU.")
    flags.DEFINE_enum(
        "precision", "float32", (*PRECISIONS, INT8), "Of the fused graph."
    )
    flags.DEFINE_enum(
        "input_dtype", "float32", INPUT_DTYPES, "Type of the flat images."
    )
    flags.DEFINE_integer(
        "default_num_mux",
        None,
        "Images per sequence where a request names none, of an elastic model; its "
        "first by default.",
    )
    flags.DEFINE_integer(
        "max_pixels",
        None,
        "Refuse larger encoded images; by default above 2^24 pixels.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "max_bytes",
        None,
        "Refuse larger files of encoded images; by default above 80 MiB.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "max_batch_size",
        MAX_BATCH_SIZE,
        "Largest batch the server may form.",
        lower_bound=1,
    )
    flags.DEFINE_bool(
        "serving_files", True, "Write EXPORT_DIR/serving: serve.sh, models.config ..."
    )
    flags.DEFINE_bool(
        "change_mixing",
        False,
        "Allow a version that mixes the images of a batch beside versions that do "
        "not, or the other way round.",
    )
with command.topic(f"Of --precision={INT8}") as int8_options:
    flags.DEFINE_string(
        "calibration",
        "",
        "Images like those to come: a folder, or a split of the run's dataset; by "
        "default its training split.",
    )
    flags.DEFINE_integer(
        "calibration_images", CALIBRATION_IMAGES, "How many of them.", lower_bound=1
    )
    flags.DEFINE_float(
        "int8_min_agreement",
        INT8_MIN_AGREEMENT,
        "Least share of images whose best class stays that of float32; as many "
        "products as that takes stay in bfloat16.",
        lower_bound=0.0,
        upper_bound=1.0,
    )


def main():
    """Exports the model and prints the version's folder."""
    values = flags.FLAGS
    given = [name for name in options if values[name].present]
    if values.format != SAVED_MODEL and given:
        sys.exit(
            f"error: --{given[0]} belongs to --format={SAVED_MODEL}; "
            f"--format={values.format} has no use for it."
        )
    for name in int8_options:
        if values[name].present and values.precision != INT8:
            sys.exit(f"error: --{name} belongs to --precision={INT8}.")
    if values.precision == INT8 and not values.fuse:
        sys.exit(
            f"error: --precision={INT8} is a form of the fused graph: leave --nofuse "
            "out, or choose another precision."
        )
    import keras

    from keras_concatplexer import bundle
    from savedmodel_export.exporter import export
    from savedmodel_export.fused.calibration_images import load_calibration
    from savedmodel_export.model_card import training_details
    from savedmodel_export.other_formats import export_other
    from savedmodel_export.verify.verification import VerificationError

    try:
        details = training_details(values.workdir, values.checkpoint)
        description = bundle.read_description(values.workdir)
        keras.config.set_dtype_policy(description.dtype_policy)
        model = bundle.load_model(values.workdir, values.checkpoint)
        arguments = (
            *(model, description.preprocessor, description.class_names),
            values.export_dir,
        )
        common = {"keep": values.keep, "details": details}
        if values.format == SAVED_MODEL:
            chosen = {name: values[name].value for name in given}
            if values.precision == INT8:
                chosen["int8_min_agreement"] = values.int8_min_agreement
                chosen["calibration"] = load_calibration(
                    values.calibration,
                    values.workdir,
                    description.preprocessor.image_shape,
                    values.calibration_images,
                )
            version = export(*arguments, **chosen, **common)
        else:
            version = export_other(*arguments, values.format, **common)
    except (ValueError, OSError, VerificationError) as error:
        sys.exit(f"error: {error}")
    print(version)


def run():
    """Runs the command."""
    command.run(main, description=__doc__)


if __name__ == "__main__":
    run()
