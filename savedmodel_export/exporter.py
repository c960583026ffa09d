"""From a trained classifier to a version folder: build, check, publish."""

import numpy as np
import tensorflow as tf

from savedmodel_export.publishing import publish, unfinished_version
from savedmodel_export.signatures import ServingModule

TOLERANCE = 1e-4


def export(model, preprocessor, class_names, export_dir):
    """Writes a SavedModel as the next version under `export_dir`.

    The SavedModel is reloaded and compared with the live model before it becomes
    visible. Its signature `serving_default` takes `images`, float32 of shape
    `(batch_size, *image_shape)`, values from 0 to 255, any `batch_size` >= 1, and
    returns `logits` and `probabilities` (float32, `(batch_size, num_classes)`),
    `class_ids` (int32) and `classes` (string), both `(batch_size,)`.

    Args:
        model: Keras classifier, trained.
        preprocessor: `keras_concatplexer.preprocessing.ImagePreprocessor`.
        class_names: sequence of str, one per class.
        export_dir: folder of the versions; made if missing.

    Returns:
        `pathlib.Path` of the new version folder, named by an integer.

    Raises:
        ValueError: if the parts do not fit, or `export_dir` cannot be written.
        RuntimeError: if the reloaded SavedModel does not answer as the model.
    """
    num_classes = model.output_shape[-1]
    if len(class_names) != num_classes:
        raise ValueError(
            f"Expected one name for each of the model's {num_classes} classes. "
            f"Received: {len(class_names)} names"
        )
    with unfinished_version(export_dir) as folder:
        module = ServingModule(model, preprocessor, class_names)
        tf.saved_model.save(module, str(folder), signatures=module.signatures)
        _check(folder, model, preprocessor)
        return publish(folder)


def _check(folder, model, preprocessor):
    # An odd number of rows: the last group of a multiplexed model is not full.
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (5, *preprocessor.image_shape)).astype("float32")
    expected = np.asarray(model(preprocessor(images), training=False))
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    answered = signature(images=tf.constant(images))["logits"].numpy()
    difference = np.abs(answered - expected).max() / np.abs(expected).max()
    if not difference <= TOLERANCE:
        raise RuntimeError(
            "The reloaded SavedModel does not answer as the live model: relative "
            f"difference of logits {difference:.2e}, allowed {TOLERANCE:.0e}. "
            "Nothing was published."
        )
