"""Random changes of training images, by Keras' own layers."""

import keras


def augmentation(name, seed):
    """Returns the layers of an augmentation, or `None` for `"none"`.

    They take preprocessed float32 images `(batch_size, H, W, C)` and are called
    with `training=True` inside tf.data.
    """
    if name == "none":
        return None
    # Pixels have no place in a half-precision policy.
    shift = keras.layers.RandomTranslation(
        0.1, 0.1, fill_mode="nearest", seed=seed, dtype="float32"
    )
    if name == "shift":
        return shift
    flip = keras.layers.RandomFlip("horizontal", seed=seed, dtype="float32")
    return keras.layers.Pipeline([flip, shift])
