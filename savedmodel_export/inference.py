"""Which computation is exported for a model: the fused graph or the plain one."""

import dataclasses
from collections.abc import Callable

import keras
from absl import logging

from keras_concatplexer.arguments import one_of
from keras_concatplexer.classifier import ImageClassifier, is_classifier
from savedmodel_export.choices import INT8, INT8_MIN_AGREEMENT, PRECISIONS
from savedmodel_export.fused.classifier import CannotFuse, FusedClassifier
from savedmodel_export.fused.cpu import multiplies_bfloat16, multiplies_int8
from savedmodel_export.fused.int8_report import Int8Report
from savedmodel_export.fused.quantization import fuse_in_int8


@dataclasses.dataclass(frozen=True)
class Inference:
    """A computation to export.

    Attributes:
        predict: function, preprocessed images -> logits, or features of a model without
            a classifier.
        outputs: function, preprocessed images -> dict with `features`, where the model
            has them, and `logits` of a classifier.
        variables: list of the `tf.Variable`s that it reads, each once.
        precision: str, of its weights and tokens.
        fused: bool.
        int8: `Int8Report`, with precision `"int8"`.
    """

    predict: Callable
    outputs: Callable
    variables: list
    precision: str
    fused: bool
    int8: Int8Report | None = None


def choose_inference(model, fuse=True, precision="float32", shares_with=None):
    """Returns the `Inference` of a trained classifier.

    A model that cannot be fused is taken as it is, with a warning that names the
    layer. So is bfloat16 replaced by float32 on a processor without instructions
    for it, where it would be slower.

    Args:
        model: Keras classifier, trained.
        fuse: bool. Whether to build the fused graph (`fused.FusedClassifier`).
        precision: `"float32"` or, with `fuse`, `"bfloat16"`.
        shares_with: `Inference` or `None`. That of the same elastic model at another
            N, whose variables a fused graph then shares.

    Raises:
        ValueError: for another precision, or bfloat16 without `fuse`.
    """
    one_of("precision", precision, PRECISIONS)
    if precision == "bfloat16":
        if not fuse:
            raise ValueError(
                "precision='bfloat16' is a form of the fused graph. Use it with "
                "`fuse`, or train under a mixed_bfloat16 policy. Received: fuse=False"
            )
        if not multiplies_bfloat16():
            logging.warning(
                "This processor has no bfloat16 instructions: exporting float32."
            )
            precision = "float32"
    if fuse:
        try:
            fused = FusedClassifier(
                model, precision, shares_with and shares_with.predict
            )
            return _fused(fused, precision)
        except CannotFuse as error:
            logging.warning("Exporting the plain graph, at full cost: %s", error)
    return Inference(
        lambda images: model(images, training=False),
        live_outputs(model),
        [variable.value for variable in model.variables],
        model.compute_dtype,
        False,
    )


def infer_at_each(
    models,
    fuse=True,
    precision="float32",
    calibration=None,
    int8_min_agreement=INT8_MIN_AGREEMENT,
):
    """Returns dict, N -> `Inference`, for the models of `models.by_num_mux`.

    The fused graphs of an elastic model hold what they share once.

    Args:
        models: dict, N -> Keras classifier.
        fuse: bool. Whether to build the fused graph.
        precision: `"float32"` or, with `fuse`, `"bfloat16"` or `"int8"`.
        calibration: float array, preprocessed images, for `"int8"`.
        int8_min_agreement: float, as of `fuse_in_int8`.

    Raises:
        ValueError: as `choose_inference` and `fuse_in_int8`.
    """
    if precision == INT8:
        return _infer_in_int8(models, fuse, calibration, int8_min_agreement)
    inferences, first = {}, None
    for num_mux, model in models.items():
        inferences[num_mux] = choose_inference(
            model, fuse, precision, shares_with=first
        )
        if first is None and inferences[num_mux].fused:
            first = inferences[num_mux]
    return inferences


def _infer_in_int8(models, fuse, calibration, min_agreement):
    if not fuse:
        raise ValueError(
            "precision='int8' is a form of the fused graph. Use it with `fuse`. "
            "Received: fuse=False"
        )
    if not multiplies_int8():
        logging.warning(
            "This processor has no int8 instructions (VNNI): the export is right, but "
            "here it answers more slowly than float32. Serve it where VNNI is."
        )
    try:
        classifiers, report = fuse_in_int8(models, calibration, min_agreement)
    except CannotFuse as error:
        raise ValueError(
            f"precision='int8' needs a model that can be fused. {error}"
        ) from error
    return {n: _fused(fused, INT8, report) for n, fused in classifiers.items()}


def _fused(classifier, precision, report=None):
    variables = list(classifier.variables)
    return Inference(classifier, classifier.outputs, variables, precision, True, report)


def live_outputs(model):
    """Returns function, preprocessed images -> dict, as of `Inference.outputs`.

    It calls the Keras layers of the model.
    """
    if not isinstance(model, ImageClassifier):
        return lambda images: {"logits": model(images, training=False)}
    tensors = {"features": model.features.output}
    if is_classifier(model):
        tensors["logits"] = model.output
    whole = keras.Model(model.input, tensors)
    return lambda images: whole(images, training=False)


def variables_of(inferences):
    """Returns list, the variables of several `Inference`s, each once."""
    return list(
        {
            id(variable): variable
            for inference in inferences.values()
            for variable in inference.variables
        }.values()
    )
