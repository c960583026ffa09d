"""The same model for other runtimes: ONNX, LiteRT and OpenVINO, as Keras exports them.

A version holds one function, `images` -> logits: flat float32 images, values 0 to
255, any batch size, preprocessing included. Nothing here is for TensorFlow Serving.
"""

import contextlib
import dataclasses
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_concatplexer.arguments import one_of, positive_int
from keras_concatplexer.models import mixes_images
from savedmodel_export.model_card import write_model_card
from savedmodel_export.publishing import prune, publish, unfinished_version, writing
from savedmodel_export.verify.verification import VerificationError, default_tolerance


@dataclasses.dataclass(frozen=True)
class Format:
    """A file format and the runtime that it is checked with.

    Attributes:
        file: str, name of the model's file.
        weights: str, name of the file that holds the weights.
        packages: str, what to install for the export and the check.
        load: function, path -> function, images -> logits; raises `ImportError`
            without the runtime.
    """

    file: str
    weights: str
    packages: str
    load: object


def _load_litert(path):
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        Interpreter = tf.lite.Interpreter  # noqa: N806 (a class)
    with warnings.catch_warnings():
        # TensorFlow's own interpreter says that it will move to that package.
        warnings.filterwarnings("ignore", message="(?s).*tf.lite.Interpreter")
        interpreter = Interpreter(str(path))
    (given,), (returned,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )

    def run(images):
        interpreter.resize_tensor_input(given["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(returned["index"])

    return run


def _load_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    return lambda images: session.run(None, {given.name: images})[0]


def _load_openvino(path):
    import openvino

    # Its own choice is bfloat16 where the processor has it.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", options)
    return lambda images: compiled([images])[0]


FORMATS = {
    "onnx": Format("model.onnx", "model.onnx", "onnx tf2onnx onnxruntime", _load_onnx),
    "litert": Format("model.tflite", "model.tflite", "ai-edge-litert", _load_litert),
    "openvino": Format("model.xml", "model.bin", "openvino", _load_openvino),
}


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
        model: Keras classifier, trained.
        preprocessor: `keras_concatplexer.preprocessing.ImagePreprocessor`.
        class_names: sequence of str, one per class.
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
    if keep is not None:
        positive_int("keep", keep)
    chosen = FORMATS[file_format]
    images = keras.Input(preprocessor.image_shape, name="images")
    whole = keras.Model(images, model(preprocessor(images)), name=model.name)
    with unfinished_version(export_dir) as folder:
        with writing(export_dir):
            _write(whole, folder / chosen.file, file_format)
            labels = "".join(f"{name}\n" for name in class_names)
            (folder / "labels.txt").write_text(labels)
            write_model_card(
                folder,
                model,
                weights=chosen.weights,
                format=file_format,
                mixes_images=mixes_images(model),
                image_shape=preprocessor.image_shape,
                **(details or {}),
            )
        tolerance = default_tolerance(model.compute_dtype)
        _check(whole, folder / chosen.file, chosen, tolerance)
        with writing(export_dir):
            version = publish(folder)
    if keep is not None:
        with contextlib.suppress(OSError):  # The new version is there all the same.
            prune(export_dir, keep)
    return version


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
        expected = np.asarray(tf.cast(whole(images, training=False), tf.float32))
        difference = np.abs(run(images) - expected).max() / np.abs(expected).max()
        if not difference <= tolerance:
            raise VerificationError(
                f"{path.name} does not answer as the live model: relative difference "
                f"of logits {difference:.2e}, allowed {tolerance:.0e}. Nothing was "
                "published."
            )
