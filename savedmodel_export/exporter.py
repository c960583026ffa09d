"""From a trained classifier to a version folder: build, check, publish."""

import contextlib
import math

import numpy as np
import tensorflow as tf

from keras_concatplexer.arguments import one_of, positive_int
from keras_concatplexer.models import by_num_mux, mixes_images
from savedmodel_export.decoding import DEFAULT_MAX_PIXELS
from savedmodel_export.inference import infer_at_each, variables_of
from savedmodel_export.model_card import write_model_card
from savedmodel_export.publishing import prune, publish, unfinished_version, writing
from savedmodel_export.serving.batching import (
    allowed_batch_sizes,
    write_batching_params,
)
from savedmodel_export.serving.configuration import labelled_versions
from savedmodel_export.serving.warmup import write_warmup
from savedmodel_export.signatures import INPUT_DTYPES, ServingModule, input_spec, save
from savedmodel_export.verify.verification import default_tolerance, verify

LABELS = "assets.extra/labels.txt"


def export(
    model,
    preprocessor,
    class_names,
    export_dir,
    *,
    fuse=True,
    precision="float32",
    input_dtype="float32",
    max_pixels=DEFAULT_MAX_PIXELS,
    max_batch_size=32,
    default_num_mux=None,
    keep=None,
    details=None,
):
    """Writes a SavedModel as the next version under `export_dir`.

    The SavedModel is reloaded in another process and all its signatures
    (`signatures.ServingModule`) are compared with the live model before it becomes
    visible. Beside them the version holds warmup requests, batching parameters, the
    names of the classes and `model_card.json`.

    Args:
        model: Keras classifier, trained.
        preprocessor: `keras_concatplexer.preprocessing.ImagePreprocessor`.
        class_names: sequence of str, one per class.
        export_dir: folder of the versions; made if missing.
        fuse: bool. Whether to export the fused graph of a ViT
            (`fused.FusedClassifier`); what cannot be fused is exported as it is,
            with a warning that names the layer.
        precision: `"float32"`, or `"bfloat16"` for the fused graph; on a processor
            without bfloat16 instructions float32 is taken, with a warning.
        input_dtype: `"float32"` or `"uint8"`, of the images.
        max_pixels: int. Encoded images of more pixels are refused.
        max_batch_size: int. Largest batch that the server may form.
        default_num_mux: int or `None`. The N of an elastic model that answers where
            none is asked for; its first by default. The others answer by the
            signatures `predict_n<N>` and `serve_bytes_n<N>`.
        keep: int or `None`. Versions to keep, this one included; `None` keeps all.
            Those that `models.config` gives a label stay in any case.
        details: dict of JSON values, added to the model card: configuration of the
            training, dataset, accuracy.

    Returns:
        `pathlib.Path` of the new version folder, named by an integer.

    Raises:
        ValueError: if the parts do not fit, or `export_dir` cannot be written.
        VerificationError: if the reloaded SavedModel does not answer as the model.
    """
    num_classes = model.output_shape[-1]
    if len(class_names) != num_classes:
        raise ValueError(
            f"Expected one name for each of the model's {num_classes} classes. "
            f"Received: {len(class_names)} names"
        )
    one_of("input_dtype", input_dtype, INPUT_DTYPES)
    positive_int("max_pixels", max_pixels)
    if keep is not None:
        positive_int("keep", keep)
    models = by_num_mux(model)
    num_mux = next(iter(models)) if default_num_mux is None else default_num_mux
    one_of("default_num_mux", num_mux, tuple(models))
    inferences = infer_at_each(models, fuse, precision)
    inference = inferences[num_mux]
    batch_sizes = allowed_batch_sizes(
        max_batch_size, math.lcm(*models) if mixes_images(model) else 1
    )
    with unfinished_version(export_dir) as folder:
        module = ServingModule(
            {n: each.predict for n, each in inferences.items()},
            variables_of(inferences),
            *(preprocessor, class_names, num_mux),
            input_dtype=input_dtype,
            max_pixels=max_pixels,
        )
        with writing(export_dir, errors=(OSError, tf.errors.OpError)):
            save(module, str(folder))
            write_warmup(folder, module.signatures, batch_sizes)
            write_batching_params(folder, batch_sizes)
            (folder / LABELS).write_text("".join(f"{name}\n" for name in class_names))
            write_model_card(
                folder,
                model,
                num_mux=num_mux,
                mixes_images=mixes_images(model),
                image_shape=preprocessor.image_shape,
                num_classes=num_classes,
                precision=inference.precision,
                fused=inference.fused,
                signatures=sorted(module.signatures),
                input_dtype=input_dtype,
                max_pixels=max_pixels,
                allowed_batch_sizes=batch_sizes,
                **(details or {}),
            )
        tolerance = max(
            default_tolerance(inference.precision),
            default_tolerance(model.compute_dtype),
        )
        _check(folder, module, models, preprocessor, class_names, tolerance)
        with writing(export_dir):
            version = publish(folder)
    if keep is not None:
        with contextlib.suppress(OSError):  # The new version is there all the same.
            prune(export_dir, keep, labelled_versions(export_dir))
    return version


def _check(folder, module, models, preprocessor, class_names, tolerance):
    rng = np.random.default_rng(0)
    inputs, logits = {}, {}
    for name, function in module.signatures.items():
        num_mux = module.num_mux_of[name]
        shape = (3 * num_mux, *preprocessor.image_shape)
        images = rng.integers(0, 256, shape, "uint8")
        # `serve_groups` takes full groups only; the others' last one is not full.
        given = images if name == "serve_groups" or num_mux == 1 else images[:-1]
        inputs[name] = _request(name, given, num_mux, function)
        answers = models[num_mux](preprocessor(given), training=False)
        logits[name] = np.asarray(tf.cast(answers, tf.float32))
    verify(folder, inputs, logits, class_names, tolerance)


def _request(name, images, num_mux, function):
    """Returns the images as the array that a signature takes."""
    dtype = input_spec(function).dtype
    if dtype != tf.string:
        images = images.astype(dtype.as_numpy_dtype)
        groups = (-1, num_mux, *images.shape[1:])
        return images.reshape(groups) if name == "serve_groups" else images
    encoded = [tf.io.encode_png(image).numpy() for image in images]
    if name == "classify":
        encoded = [_example(image) for image in encoded]
    return np.array(encoded, object)


def _example(encoded):
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
    features = tf.train.Features(feature={"image/encoded": feature})
    return tf.train.Example(features=features).SerializeToString()
