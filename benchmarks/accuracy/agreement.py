"""How far the fused graph's answers are from the live model's, on real images.

`python -m benchmarks.accuracy.agreement --workdir=RUN --dataset=digits` takes the
best model of a training run and a test split, and prints for each precision the share
of images with the same top-1 class, the largest difference of a probability, and the
accuracy.
"""

import json
import sys

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from benchmarks import trained
from savedmodel_export.fused.classifier import PRECISIONS, FusedClassifier

BATCH_SIZE = 64


def agreement(model, batches):
    """Compares the fused graph in each precision with the live model.

    Args:
        model: trained ViT or multiplexed ViT.
        batches: list of (preprocessed images, labels).

    Returns:
        dict, precision -> dict with `top1_agreement`, `max_probability_difference`,
        `accuracy`, `live_accuracy`.
    """
    labels = np.concatenate([labels for _, labels in batches])

    def probabilities(predict):
        logits = [np.asarray(predict(images)) for images, _ in batches]
        return tf.nn.softmax(np.concatenate(logits)).numpy()

    live = probabilities(lambda images: model(images, training=False))
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


def main(argv):
    """Prints the comparison as JSON, a line per precision."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    try:
        model, dataset = trained.load_from_flags(flags.FLAGS, BATCH_SIZE)
    except ValueError as error:
        sys.exit(f"error: {error}")
    batches = [(images, labels.numpy()) for images, labels in dataset]
    for precision, row in agreement(model, batches).items():
        print(json.dumps({"precision": precision, **row}))


if __name__ == "__main__":
    trained.define_flags()
    flags.adopt_module_key_flags(trained)
    app.run(main)
