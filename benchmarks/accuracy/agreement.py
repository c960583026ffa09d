"""How far the fused graph's answers are from the live model's, on real images.

`python -m benchmarks.accuracy.agreement --workdir=RUN --dataset=digits` takes the
best model of a training run and a test split, and prints for each precision the share
of images with the same top-1 class, the largest difference of a probability, and the
accuracy.
"""

import json

import numpy as np
import tensorflow as tf

from benchmarks import command, trained
from savedmodel_export.choices import PRECISIONS
from savedmodel_export.fused.classifier import FusedClassifier

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


def main(values):
    """Prints the comparison as JSON, a line per precision."""
    for precision, row in agreement(*trained.load_from_flags(values)).items():
        print(json.dumps({"precision": precision, **row}))


if __name__ == "__main__":
    command.run(main, trained.define_flags)
