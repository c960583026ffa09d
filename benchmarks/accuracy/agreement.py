"""How far the fused graph's answers are from the live model's, on real images.

`python -m benchmarks.accuracy.agreement --workdir=RUN --dataset=digits` takes the
best model of a training run and a test split, and prints for each precision the share
of images with the same top-1 class, the largest difference of a probability, and the
accuracy.
"""

import json

import numpy as np
from absl import flags

from benchmarks import command, trained
from savedmodel_export.choices import PRECISIONS

BATCH_SIZE = 64


def agreement(model, images, labels):
    """Compares the fused graph in each precision with the live model.

    Args:
        model: trained ViT or multiplexed ViT.
        images: preprocessed images.
        labels: integer array, one per image.

    Returns:
        dict, precision -> dict with `top1_agreement`, `max_probability_difference`,
        `accuracy`, `live_accuracy`.
    """
    import tensorflow as tf

    from savedmodel_export.fused.classifier import FusedClassifier

    def probabilities(predict):
        starts = range(0, len(images), BATCH_SIZE)
        logits = [predict(images[start : start + BATCH_SIZE]) for start in starts]
        return tf.nn.softmax(np.concatenate(logits)).numpy()

    live = probabilities(lambda batch: model(batch, training=False))
    results = {}
    for precision in PRECISIONS:
        fused = probabilities(tf.function(FusedClassifier(model, precision)))
        classes = fused.argmax(-1)
        results[precision] = {
            "top1_agreement": float(np.mean(classes == live.argmax(-1))),
            "max_probability_difference": float(np.abs(fused - live).max()),
            "accuracy": float(np.mean(classes == labels)),
            "live_accuracy": float(np.mean(live.argmax(-1) == labels)),
        }
    return results


def define_flags():
    """Defines the command's flags."""
    trained.define_flags()
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
    if values.outlier_factor:
        add_outliers(getattr(model, "vit", model), factor=values.outlier_factor)
    for num_mux, single in by_num_mux(model).items():
        for precision, row in agreement(single, images, labels).items():
            print(json.dumps({"num_mux": num_mux, "precision": precision, **row}))


if __name__ == "__main__":
    command.run(main, define_flags)
