"""One answer per image out of many groups, slots and neighbours."""

import numpy as np

from keras_concatplexer.arguments import positive_int
from keras_concatplexer.layers import grouping


def single_num_mux(model):
    """Returns a model's images per sequence, 1 for a model that is not multiplexed.

    Raises:
        ValueError: if the model has several (an elastic model).
    """
    num_mux = getattr(model, "num_mux", 1)
    if isinstance(num_mux, int):
        return num_mux
    raise ValueError(
        "Expected a model with one number of images per sequence. Pass "
        f"`model.at(num_mux=n)` with n one of {tuple(num_mux)}."
    )


def whole_groups(num_images, num_mux):
    """Returns `num_images`, rounded up to a multiple of `num_mux`."""
    return grouping.num_groups(num_images, num_mux) * num_mux


def predict_ensemble(model, images, num_permutations, batch_size=32, seed=0):
    """What `MultiplexedViT.predict_ensemble` does, for any model with `num_mux`."""
    num_mux = single_num_mux(model)
    positive_int("num_permutations", num_permutations)
    positive_int("batch_size", batch_size)
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise ValueError(
            "Expected images of shape (num_images, height, width, channels), one at "
            f"least. Received: shape={images.shape}"
        )
    num_images = len(images)
    random = np.random.default_rng(seed)
    positions = np.arange(whole_groups(num_images, num_mux)).reshape(-1, num_mux)
    total = 0.0
    for _ in range(num_permutations):
        # The last group is filled with the first images, as the model would do.
        order = np.resize(random.permutation(num_images), positions.size)
        for shift in range(num_mux):
            # Each group stays together; its images move on by one slot.
            shifted = np.roll(positions, shift, axis=1).reshape(-1)
            logits = model.predict(
                images[order[shifted]],
                batch_size=whole_groups(batch_size, num_mux),
                verbose=0,
            )
            # The filler's rows are dropped, so that each image counts once.
            real = shifted < num_images
            answers = np.empty((num_images, logits.shape[-1]))
            answers[order[shifted[real]]] = logits[real]
            total = total + answers
    return (total / (num_permutations * num_mux)).astype("float32")
