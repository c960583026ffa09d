"""Training batches in random order and randomly changed, on any Keras backend."""

import keras
import numpy as np


class Batches(keras.utils.PyDataset):
    """Full batches of a data set in an order of its own in every epoch.

    The changes happen here, in front of the model, so that the model may be
    compiled whole and a teacher sees what its student sees.

    Args:
        images, labels: arrays of one length.
        batch_size: int. What does not fill a batch is left out, other images in
            every epoch.
        shift: float. Largest random translation, as a share of the side.
        flip: bool. Whether to mirror images at random.
        seed: int. Of order and changes.
    """

    def __init__(self, images, labels, batch_size, shift=0.0, flip=False, seed=0):
        super().__init__()
        if len(images) < batch_size:
            raise ValueError(
                f"{len(images)} training images do not fill one batch of {batch_size}."
            )
        self._images, self._labels = images, labels
        self._batch_size = batch_size
        self._rng = np.random.default_rng(seed)
        self._layers = [
            keras.layers.RandomTranslation(shift, shift, fill_mode="nearest", seed=seed)
        ]
        if flip:
            self._layers.append(keras.layers.RandomFlip("horizontal", seed=seed))
        self.on_epoch_end()

    def __len__(self):
        return len(self._images) // self._batch_size

    def __getitem__(self, index):
        start = index * self._batch_size
        rows = self._order[start : start + self._batch_size]
        images = self._images[rows]
        for layer in self._layers:
            images = layer(images, training=True)
        return keras.ops.convert_to_numpy(images), self._labels[rows]

    def on_epoch_end(self):
        self._order = self._rng.permutation(len(self._images))
