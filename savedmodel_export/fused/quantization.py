"""From a trained model and images to its fused graph in int8, where int8 is right."""

import bisect
import dataclasses

import numpy as np
import tensorflow as tf

from savedmodel_export.choices import INT8_MIN_AGREEMENT
from savedmodel_export.fused.calibration import BATCH_SIZE, calibrate, progress
from savedmodel_export.fused.classifier import FusedClassifier
from savedmodel_export.fused.int8 import Int8Dense, SwitchedDense
from savedmodel_export.fused.int8_report import Int8Report
from savedmodel_export.fused.layers import INTO_RESIDUAL, FusedBlock, FusedDense

# Of the images given, those that choose no range and judge instead.
CHECKED_SHARE = 0.25
# Of these, those that tell the products apart: each product runs on all of them.
SENSITIVITY_IMAGES = 8


def fuse_in_int8(models, images, min_agreement=INT8_MIN_AGREEMENT):
    """Builds the fused graphs of a model in int8.

    Each product of the blocks becomes int8, unless the answers suffer: then the most
    sensitive ones stay in bfloat16, as few as hold the agreement. So do products
    whose inputs are all 0.

    Args:
        models: dict, N -> classifier, of `models.by_num_mux`.
        images: float array, preprocessed. The last quarter is held out.
        min_agreement: float. The least share of the images held out whose best class
            must be that of float32; of a model without a classifier, the least mean
            cosine between its features and those of float32.

    Returns:
        `({N: FusedClassifier}, Int8Report)`. They hold what they share once.

    Raises:
        CannotFuse: as `FusedClassifier`.
        ValueError: if activations are not finite, or not even bfloat16 agrees.
    """
    num_checked = int(len(images) * CHECKED_SHARE)
    seen, checked = images[:-num_checked], images[-num_checked:]
    floats = _fuse_each(models, "float32")
    judge = _Judge(floats, checked)
    ranges = calibrate(list(floats.values()), seen)
    # Norms and int8 steps read float32: tokens in bfloat16 would only be converted.
    classifiers = _fuse_each(models, "bfloat16", residual_precision="float32")
    products = _products(_blocks(classifiers), _blocks(floats), ranges)
    order, sensitivity, num_kept = _rank(products, classifiers, judge, min_agreement)
    while num_kept <= len(order):
        _use_int8(products, set(order[num_kept:]))
        agreement = judge.agreement(_functions(classifiers))
        if agreement >= min_agreement:
            break
        num_kept += 1  # Measured with quantized GELUs it may be a little less.
    else:
        raise ValueError(
            "int8 does not answer as float32 for this model: with every product in "
            "bfloat16 the agreement is still below the "
            f"{min_agreement} asked for, on {num_checked} images. Lower "
            "int8_min_agreement, give more images, or export float32."
        )
    int8 = set(order[num_kept:])
    report = Int8Report(
        {path: "int8" if path in int8 else "bfloat16" for path in products},
        sensitivity,
        agreement,
        len(seen),
        num_checked,
        "best class" if judge.is_classifier else "cosine of features",
    )
    return classifiers, report


@dataclasses.dataclass(frozen=True)
class _Product:
    """A product of a bfloat16 block, and what its int8 form is made of."""

    block: FusedBlock
    name: str
    exact: FusedDense
    half: FusedDense
    maximum: float

    def put(self, product):
        setattr(self.block, self.name, product)

    def in_int8(self, output_maximum=None):
        """Returns the `Int8Dense`."""
        dtype = tf.float32 if self.name in INTO_RESIDUAL else tf.bfloat16
        return Int8Dense(self.exact, self.maximum, output_maximum, dtype)


class _Judge:
    """Compares with the answers that the float32 graphs gave to the images."""

    def __init__(self, classifiers, images):
        self._images = images
        self.is_classifier = next(iter(classifiers.values())).is_classifier
        self._expected = {
            n: self._answers(function, "calibration: float32 answers")
            for n, function in _functions(classifiers).items()
        }

    def agreement(self, functions):
        """Returns float, the lowest agreement of an N with its float32."""
        agree = _same_classes if self.is_classifier else _cosine
        return min(
            float(agree(self._answers(function), self._expected[n]).mean())
            for n, function in functions.items()
        )

    def error(self, functions, num_images):
        """Returns float, squared error over squared size, on the first images."""
        errors, sizes = 0.0, 0.0
        for n, function in functions.items():
            expected = self._expected[n][:num_images]
            answers = function(tf.constant(self._images[:num_images])).numpy()
            errors += np.square(answers - expected).sum()
            sizes += np.square(expected).sum()
        return float(errors / max(sizes, 1e-30))

    def _answers(self, function, what=None):
        starts = range(0, len(self._images), BATCH_SIZE)
        answers = [
            function(tf.constant(self._images[start : start + BATCH_SIZE]))
            for start in (starts if what is None else progress(starts, what))
        ]
        return np.concatenate(answers)


def _same_classes(answers, expected):
    return answers.argmax(-1) == expected.argmax(-1)


def _cosine(answers, expected):
    lengths = np.linalg.norm(answers, axis=-1) * np.linalg.norm(expected, axis=-1)
    return (answers * expected).sum(-1) / np.maximum(lengths, 1e-30)


def _fuse_each(models, precision, residual_precision=None):
    fused = {}
    for n, model in models.items():
        first = next(iter(fused.values()), None)
        fused[n] = FusedClassifier(model, precision, first, residual_precision)
    return fused


def _blocks(classifiers):
    return next(iter(classifiers.values())).blocks


def _functions(classifiers):
    return {n: tf.function(c, autograph=False) for n, c in classifiers.items()}


def _products(blocks, float_blocks, ranges):
    """Gives the blocks the scaled weights; returns dict, path -> `_Product`."""
    products = {}
    for block, exact, of_block in zip(blocks, float_blocks, ranges, strict=True):
        for variable, value in zip(block.variables, exact.variables, strict=True):
            variable.assign(tf.cast(value, variable.dtype))
        for name in block.products:
            parts = getattr(exact, name), getattr(block, name), of_block[name].maximum
            products[f"{block.name}/{name}"] = _Product(block, name, *parts)
    return products


def _rank(products, classifiers, judge, min_agreement):
    """Orders the products by what int8 does to the answers.

    Returns:
        `(order, sensitivity, num_kept)`: the paths that can be int8, the most
        sensitive first; the error of each; how many of the first should stay.
    """
    switches = {
        path: SwitchedDense(product.in_int8(), product.half)
        for path, product in products.items()
        if product.maximum > 0
    }
    for path, switch in switches.items():
        products[path].put(switch)
    functions = _functions(classifiers)

    def use_int8(paths):
        for path, switch in switches.items():
            switch.is_int8.assign(path in paths)

    sensitivity = {}
    for path in progress(switches, "calibration: sensitivity, product"):
        use_int8({path})
        sensitivity[path] = judge.error(functions, SENSITIVITY_IMAGES)
    order = sorted(switches, key=sensitivity.get, reverse=True)

    def holds(num_kept):
        use_int8(set(order[num_kept:]))
        return judge.agreement(functions) >= min_agreement

    counts = range(1, len(order) + 1)
    num_kept = 0 if holds(0) else 1 + bisect.bisect_left(counts, True, key=holds)
    return order, sensitivity, num_kept


def _use_int8(products, paths):
    for path, product in products.items():
        if path not in paths:
            product.put(product.half)
            continue
        after = f"{product.block.name}/mlp_out"
        hands_over = product.name == "mlp_in" and after in paths
        maximum = products[after].maximum if hands_over else None
        product.put(product.in_int8(maximum))
