"""One answer per image out of many groups, slots and neighbours."""

import numpy as np

from keras_concatplexer.arguments import positive_int
from keras_concatplexer.layers import grouping


def whole_groups(num_images, num_mux):
    """Returns `num_images`, rounded up to a multiple of `num_mux`."""
    return grouping.num_groups(num_images, num_mux) * num_mux


def predict_ensemble(model, num_mux, images, num_permutations, batch_size=32, seed=0):
    """Does what `MultiplexedViT.predict_ensemble` does.

    Args:
        model: classifier; for a plain ViT `num_mux` is 1.
        num_mux: int. Its images per group.
        images: as in the method, like all that follows.
        num_permutations: int.
        batch_size: int.
        seed: int.
    """
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
