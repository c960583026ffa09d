"""How far the fused graph's answers are from the live model's, on real images.

`python -m benchmarks.accuracy.agreement --workdir=RUN --dataset=digits` takes the best
model of a training run and a test split, and prints for each precision the share of
images with the same top-1 class, the largest difference of a probability, and the
accuracy. int8 is calibrated on training images; beside it stands the naive form, whose
ranges hold the largest value ever seen and which keeps no product in bfloat16.
"""

import json
from unittest import mock

import numpy as np
from absl import flags

from benchmarks import command, trained
from savedmodel_export.choices import CALIBRATION_IMAGES, INT8, PRECISIONS

BATCH_SIZE = 64
RANGES = "savedmodel_export.fused.ranges"
NAIVE = "int8, largest values"


def agreement(model, images, labels, calibration):
    """Compares the fused graph in each precision with the live model.

    Args:
        model: trained ViT or multiplexed ViT.
        images: preprocessed images.
        labels: integer array, one per image.
        calibration: preprocessed images for int8.

    Returns:
        dict, precision -> dict with `top1_agreement`, `max_probability_difference`,
        `accuracy`, `live_accuracy`, and of int8 `products`, how many are int8.
    """
    import tensorflow as tf

    def probabilities(predict):
        starts = range(0, len(images), BATCH_SIZE)
        logits = [predict(images[start : start + BATCH_SIZE]) for start in starts]
        return tf.nn.softmax(np.concatenate(logits)).numpy()

    live = probabilities(lambda batch: model(batch, training=False))
    results = {}
    for name, inference in inferences(model, calibration).items():
        found = probabilities(tf.function(inference.predict))
        classes = found.argmax(-1)
        results[name] = {
            "top1_agreement": float(np.mean(classes == live.argmax(-1))),
            "max_probability_difference": float(np.abs(found - live).max()),
            "accuracy": float(np.mean(classes == labels)),
            "live_accuracy": float(np.mean(live.argmax(-1) == labels)),
        }
        if inference.int8:
            precisions = list(inference.int8.products.values())
            results[name]["products"] = f"{precisions.count(INT8)}/{len(precisions)}"
    return results


def inferences(model, calibration):
    """Returns dict, name of a precision -> `Inference` of a model.

    Args:
        model: trained ViT or multiplexed ViT.
        calibration: preprocessed images for int8.
    """
    from savedmodel_export.inference import choose_inference, infer_at_each

    def int8(**options):
        (inference,) = infer_at_each(
            {1: model}, precision=INT8, calibration=calibration, **options
        ).values()
        return inference

    found = {name: choose_inference(model, precision=name) for name in PRECISIONS}
    found[INT8] = int8()
    # What calibration buys: one range is tried, that of the largest value.
    with mock.patch.multiple(RANGES, STRENGTHS=(None,), SHARES=(1.0,)):
        found[NAIVE] = int8(int8_min_agreement=0.0)
    return found


def define_flags():
    """Defines the command's flags."""
    trained.define_flags()
    flags.DEFINE_string(
        "calibration_split", "train", "TFDS split whose first images calibrate int8."
    )
    flags.DEFINE_float(
        "outlier_factor",
        0.0,
        "Make a few channels behind each norm so many times as large first, which "
        "changes no answer in floats; 0: none.",
        0,
    )


def main(values):
    """Prints the comparison as JSON, a line per N and precision."""
    from benchmarks.accuracy.outliers import add_outliers
    from keras_concatplexer.models import by_num_mux

    model, images, labels = trained.load_from_flags(values)
    _, calibration, _ = trained.load_arrays(
        *(values.workdir, values.dataset, values.data_dir),
        values.calibration_split,
        CALIBRATION_IMAGES,
    )
    if values.outlier_factor:
        add_outliers(getattr(model, "vit", model), factor=values.outlier_factor)
    for num_mux, single in by_num_mux(model).items():
        for precision, row in agreement(single, images, labels, calibration).items():
            print(json.dumps({"num_mux": num_mux, "precision": precision, **row}))


if __name__ == "__main__":
    command.run(main, define_flags)
