"""How far the fused graph's answers are from the live model's, on real images.

`python -m benchmarks.agreement --workdir=RUN --dataset=digits` takes the best model of
a training run and a test split, and prints for each precision the share of images with
the same top-1 class, the largest difference of a probability, and the accuracy.
"""

import json

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import app, flags, logging

import train.digits  # noqa: F401 (registers the embedded dataset)
from keras_concatplexer import bundle
from savedmodel_export.fused import PRECISIONS, FusedClassifier

flags.DEFINE_string("workdir", None, "Folder of a training run.", required=True)
flags.DEFINE_string("dataset", "digits", "TFDS dataset of the run.")
flags.DEFINE_string("data_dir", None, "Where TFDS keeps it.")
flags.DEFINE_string("split", "test", "TFDS split.")
flags.DEFINE_integer("batch_size", 64, "Images per call.", lower_bound=1)


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
    values = flags.FLAGS
    description = bundle.read_description(values.workdir)
    keras.config.set_dtype_policy(description.dtype_policy)
    model = bundle.load_model(values.workdir)
    dataset = tfds.load(values.dataset, split=values.split, data_dir=values.data_dir)
    batches = [
        (description.preprocessor(example["image"]), example["label"].numpy())
        for example in dataset.batch(values.batch_size)
    ]
    for precision, row in agreement(model, batches).items():
        print(json.dumps({"precision": precision, **row}))


if __name__ == "__main__":
    app.run(main)
