"""The same model for other runtimes: ONNX, LiteRT and OpenVINO, as Keras exports them.

A version holds one function, `images` -> logits or features: flat float32 images,
values 0 to 255, any batch size, preprocessing included. Nothing here is for TensorFlow
Serving.
"""

import warnings

import keras
import numpy as np

from keras_concatplexer.arguments import one_of
from keras_concatplexer.models import mixes_images
from savedmodel_export.formats import FORMATS
from savedmodel_export.model_card import (
    sizes,
    write_labels,
    write_model_card,
)
from savedmodel_export.parts import check_parts
from savedmodel_export.publishing import writing
from savedmodel_export.release import new_version
from savedmodel_export.verify.verification import (
    VerificationError,
    default_tolerance,
    finite,
    relative_difference,
)


def export_other(
    model,
    preprocessor,
    class_names,
    export_dir,
    file_format,
    *,
    keep=None,
    details=None,
):
    """Writes a model for another runtime as the next version under `export_dir`.

    The file is run by its runtime, where that is installed, and compared with the
    live model before the version becomes visible; else a warning says that it was
    not.

    Args:
        model: Keras classifier or model of features, trained.
        preprocessor: `keras_concatplexer.preprocessing.ImagePreprocessor`.
        class_names: sequence of str, one per class; `None` for a model of features.
        export_dir: folder of the versions; made if missing.
        file_format: `"onnx"`, `"litert"` or `"openvino"`.
        keep: int or `None`. Versions to keep, this one included; `None` keeps all.
        details: dict of JSON values, added to the model card.

    Returns:
        `pathlib.Path` of the new version folder.

    Raises:
        ValueError: if the parts do not fit, a package is missing, Keras cannot
            export the model, or `export_dir` cannot be written.
        VerificationError: if the runtime does not answer as the model.
    """
    one_of("file_format", file_format, tuple(FORMATS))
    class_names = check_parts(model, preprocessor, class_names, export_dir)
    chosen = FORMATS[file_format]
    images = keras.Input(preprocessor.image_shape, name="images")
    whole = keras.Model(images, model(preprocessor(images)), name=model.name)
    mixes = mixes_images(model)
    with new_version(
        export_dir, file_format=file_format, mixes_images=mixes, keep=keep
    ) as release:
        with writing(export_dir):
            _write(whole, release.folder / chosen.file, file_format)
            if class_names:
                write_labels(release.folder / "labels.txt", class_names)
            write_model_card(
                release.folder,
                model,
                weights=chosen.weights,
                format=file_format,
                mixes_images=mixes,
                image_shape=preprocessor.image_shape,
                **sizes(model),
                **(details or {}),
            )
        tolerance = default_tolerance(model.compute_dtype)
        _check(whole, release.folder / chosen.file, chosen, tolerance)
    return release.version


def _write(whole, path, file_format):
    spec = keras.InputSpec(
        shape=(None, *whole.input_shape[1:]), dtype="float32", name="images"
    )
    try:
        whole.export(
            str(path), format=file_format, input_signature=[spec], verbose=False
        )
    except ImportError as error:
        raise ValueError(
            f"The format {file_format} needs the package {error.name}: "
            f"pip install {FORMATS[file_format].packages}"
        ) from error
    except NotImplementedError as error:
        raise ValueError(
            f"Keras cannot export this model as {file_format}: {error}"
        ) from error


def _check(whole, path, chosen, tolerance):
    try:
        run = chosen.load(path)
    except ImportError as error:
        warnings.warn(
            f"{path.name} was not compared with the live model: {error}", stacklevel=2
        )
        return
    rng = np.random.default_rng(0)
    # One image, and a number that no group size divides.
    for batch_size in (1, 7):
        shape = (batch_size, *whole.input_shape[1:])
        images = rng.uniform(0, 255, shape).astype("float32")
        difference = relative_difference(
            run(images), finite(whole(images, training=False), whole.name)
        )
        if not difference <= tolerance:
            raise VerificationError(
                f"{path.name} does not answer as the live model: relative difference "
                f"of its answers {difference:.2e}, allowed {tolerance:.0e}. Nothing "
                "was published."
            )
