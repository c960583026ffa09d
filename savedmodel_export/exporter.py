"""From a trained classifier to a version folder: build, check, publish."""

import math
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_concatplexer.arguments import one_of, positive_int, share
from keras_concatplexer.image_decoding import DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS
from keras_concatplexer.models import by_num_mux, mixes_images
from keras_concatplexer.preprocessing import ImagePreprocessor
from savedmodel_export.choices import (
    INPUT_DTYPES,
    INT8,
    INT8_MIN_AGREEMENT,
    MAX_BATCH_SIZE,
    PRECISIONS,
    SAVED_MODEL,
)
from savedmodel_export.fused.calibration_images import check_calibration, preprocessed
from savedmodel_export.inference import infer_at_each, live_outputs, variables_of
from savedmodel_export.model_card import (
    sizes,
    write_labels,
    write_model_card,
)
from savedmodel_export.parts import check_parts
from savedmodel_export.publishing import writing
from savedmodel_export.release import new_version
from savedmodel_export.serving.batching import (
    allowed_batch_sizes,
    write_batching_params,
)
from savedmodel_export.serving.warmup import write_warmup
from savedmodel_export.signatures import GROUPS, ServingModule, input_spec, save
from savedmodel_export.verify.verification import (
    default_tolerance,
    finite,
    verify,
)

LABELS = "assets.extra/labels.txt"


def export(
    model: keras.Model,
    preprocessor: ImagePreprocessor,
    class_names: Sequence[str] | None,
    export_dir: str | os.PathLike,
    *,
    fuse: bool = True,
    precision: str = "float32",
    calibration: ArrayLike | None = None,
    int8_min_agreement: float = INT8_MIN_AGREEMENT,
    input_dtype: str = "float32",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_bytes: int = DEFAULT_MAX_BYTES,
    max_batch_size: int = MAX_BATCH_SIZE,
    default_num_mux: int | None = None,
    keep: int | None = None,
    serving_files: bool = True,
    change_mixing: bool = False,
    details: Mapping | None = None,
) -> pathlib.Path:
    """Writes a SavedModel as the next version under `export_dir`.

    The SavedModel is reloaded in another process and all its signatures
    (`signatures.ServingModule`) are compared with the live model before it becomes
    visible. Beside them the version holds warmup requests, batching parameters (if the
    server may join requests), the names of the classes and `model_card.json`. Nothing
    outside `export_dir` is written.

    ```python
    model.fit(images, labels, epochs=10)  # any classifier on preprocessed images
    version = export(model, preprocessor, ["cat", "dog"], "served/pets")
    ```

    Args:
        model: trained: a plain ViT, a multiplexed or an elastic model, or any other
            Keras classifier; or a model of features (`num_classes=None`).
        preprocessor: `keras_concatplexer.preprocessing.ImagePreprocessor` that made
            the model's images; it becomes a part of the exported graph.
        class_names: sequence of str, one per class; `None` for a model of features.
        export_dir: folder of the versions; made if missing.
        fuse: bool. Whether to export the fused graph of a ViT
            (`fused.FusedClassifier`); what cannot be fused is exported as it is,
            with a warning that names the layer.
        precision: `"float32"`, or `"bfloat16"` for the fused graph; on a processor
            without bfloat16 instructions float32 is taken, with a warning. Or
            `"int8"` for the fused graph's matrix products, the fastest on a
            processor with VNNI.
        calibration: array `(n, *image_shape)`, n >= 32, for int8: images like those
            to come, values 0 to 255. Their last quarter judges the result.
        int8_min_agreement: float. The least share of these whose best class must be
            that of float32, or the least mean cosine of features; as many products as
            that takes stay in bfloat16.
        input_dtype: `"float32"` or `"uint8"`, of the images.
        max_pixels: int. Encoded images of more pixels are refused.
        max_bytes: int. Encoded images of more bytes are refused.
        max_batch_size: int. Largest batch that the server may form.
        default_num_mux: int or `None`. The N of an elastic model that answers where
            none is asked for; its first by default. The others answer by the
            signatures `predict_n<N>`, `serve_bytes_n<N>` and `serve_groups_n<N>`.
        keep: int or `None`. Versions to keep, this one included; `None` keeps all.
            Those that `models.config` names stay in any case.
        serving_files: bool. Whether to write the server's files, too, into
            `export_dir/serving`.
        change_mixing: bool. Whether the version may mix the images of a batch where
            the versions before it do not, or the other way round.
        details: dict of JSON values, added to the model card: configuration of the
            training, dataset, accuracy.

    Returns:
        `pathlib.Path` of the new version folder, named by an integer.

    Raises:
        ValueError: if the parts do not fit, or `export_dir` cannot be written.
        VerificationError: if the reloaded SavedModel does not answer as the model.
    """
    class_names = check_parts(model, preprocessor, class_names, export_dir)
    one_of("precision", precision, (*PRECISIONS, INT8))
    one_of("input_dtype", input_dtype, INPUT_DTYPES)
    positive_int("max_pixels", max_pixels)
    positive_int("max_bytes", max_bytes)
    models, mixes = by_num_mux(model), mixes_images(model)
    num_mux = next(iter(models)) if default_num_mux is None else default_num_mux
    one_of("default_num_mux", num_mux, tuple(models))
    if precision == INT8:
        share("int8_min_agreement", int8_min_agreement)
        calibration = check_calibration(calibration, preprocessor.image_shape)
    elif calibration is not None:
        raise ValueError(
            f"`calibration` belongs to precision={INT8!r}. Received: "
            f"precision={precision!r}"
        )
    batch_sizes = allowed_batch_sizes(max_batch_size, math.lcm(*models) if mixes else 1)
    with new_version(
        export_dir,
        file_format=SAVED_MODEL,
        mixes_images=mixes,
        keep=keep,
        serving_files=serving_files,
        change_mixing=change_mixing,
    ) as release:
        inferences = infer_at_each(
            models,
            fuse,
            precision,
            preprocessed(calibration, preprocessor) if precision == INT8 else None,
            int8_min_agreement,
        )
        inference = inferences[num_mux]
        int8 = {} if inference.int8 is None else {INT8: inference.int8.card()}
        module = ServingModule(
            {n: each.outputs for n, each in inferences.items()},
            variables_of(inferences),
            *(preprocessor, class_names, num_mux),
            input_dtype=input_dtype,
            max_pixels=max_pixels,
            max_bytes=max_bytes,
            mixes_images=mixes,
        )
        with writing(export_dir, errors=(OSError, tf.errors.OpError)):
            save(module, str(release.folder))
            write_warmup(release.folder, module.signatures, batch_sizes)
            if not mixes:
                # A server with per-model batching joins requests where it finds this.
                write_batching_params(release.folder, batch_sizes)
            if class_names is not None:
                write_labels(release.folder / LABELS, class_names)
            write_model_card(
                release.folder,
                model,
                num_mux=num_mux,
                format=SAVED_MODEL,
                mixes_images=mixes,
                image_shape=preprocessor.image_shape,
                **sizes(model),
                precision=inference.precision,
                fused=inference.fused,
                signatures=sorted(module.signatures),
                input_dtype=input_dtype,
                max_pixels=max_pixels,
                max_bytes=max_bytes,
                allowed_batch_sizes=batch_sizes,
                **int8,
                **(details or {}),
            )
        tolerance = max(
            default_tolerance(inference.precision),
            default_tolerance(model.compute_dtype),
        )
        # int8 is made for images like those to come, not for noise.
        images = calibration if precision == INT8 else _noise(models, preprocessor)
        _check(
            release.folder, module, models, preprocessor, class_names, images, tolerance
        )
    if inference.int8 is not None:
        print(inference.int8.table(), file=sys.stderr)
    return release.version


def _noise(models, preprocessor):
    shape = (3 * max(models), *preprocessor.image_shape)
    return np.random.default_rng(0).integers(0, 256, shape, "uint8")


def _check(folder, module, models, preprocessor, class_names, images, tolerance):
    inputs, answers = {}, {}
    live = {n: live_outputs(model) for n, model in models.items()}
    for name, function in module.signatures.items():
        num_mux = module.num_mux_of[name]
        full = np.take(images, range(3 * num_mux), axis=0, mode="wrap")
        # Groups are given full; the last one of a flat batch is not.
        in_groups = name.startswith(GROUPS)
        given = full if in_groups or num_mux == 1 else full[:-1]
        inputs[name] = _request(name, given, num_mux, function)
        answers[name] = {
            output: finite(values, models[num_mux].name)
            for output, values in live[num_mux](preprocessor(given)).items()
        }
    verify(folder, inputs, answers, class_names or (), tolerance)


def _request(name, images, num_mux, function):
    """Returns the images as the array that a signature takes."""
    dtype = input_spec(function).dtype
    if dtype != tf.string:
        images = images.astype(dtype.as_numpy_dtype)
        groups = (-1, num_mux, *images.shape[1:])
        return images.reshape(groups) if name.startswith(GROUPS) else images
    encoded = [tf.io.encode_png(image).numpy() for image in images]
    if name == "classify":
        encoded = [_example(image) for image in encoded]
    return np.array(encoded, object)


def _example(encoded):
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
    features = tf.train.Features(feature={"image/encoded": feature})
    return tf.train.Example(features=features).SerializeToString()
