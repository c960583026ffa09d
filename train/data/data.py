"""Image classification data as batches for a model."""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf

from keras_concatplexer.image_decoding import (
    DEFAULT_MAX_PIXELS,
    decode_image,
    to_channels,
)
from keras_concatplexer.preprocessing import ImagePreprocessor

from .datasets import FolderSource, TfdsSource, open_source
from .fitting import default_side
from .folder_check import MAX_BYTES, MAX_PIXELS
from .splits import PARTS, choose_splits, ranges

SHUFFLE_BUFFER = 50_000


@dataclasses.dataclass(frozen=True)
class Data:
    """Prepared data and how a model must see it.

    Attributes:
        source: where the examples come from.
        preprocessor: `ImagePreprocessor` for the model's image shape.
        class_names: tuple of str.
        splits: dict with keys `train`, `validation`, `test` -> TFDS split.
        notes: tuple of str, what was decided for the user.
    """

    source: TfdsSource | FolderSource
    preprocessor: ImagePreprocessor
    class_names: tuple
    splits: dict
    notes: tuple = ()

    def num_images(self, part):
        """Number of images in `"train"`, `"validation"` or `"test"`."""
        pieces = ranges(self.source.info.splits, self.splits[part])
        return sum(stop - start for _, start, stop in pieces)

    def fingerprint(self, part):
        """Returns a str that changes with the files of a part, or their order."""
        return self.source.fingerprint(self.splits[part])

    def calibration(self):
        """Returns a dict that tells training images: some files, or their split."""
        return self.source.some_of(self.splits["train"])

    def overlaps(self):
        """Returns list of (part, another part, number of images that are in both)."""
        known, found = self.source.info.splits, []
        for first, second in itertools.combinations(self.splits, 2):
            shared = sum(
                max(0, min(stop, other_stop) - max(start, other_start))
                for name, start, stop in ranges(known, self.splits[first])
                for other, other_start, other_stop in ranges(known, self.splits[second])
                if name == other
            )
            if shared:
                found.append((first, second, shared))
        return found

    def left_out(self):
        """Returns dict, why files of a folder are not used -> their number."""
        if isinstance(self.source, TfdsSource):
            return {}
        return {
            reason: len(paths) for reason, paths in self.source.folder.left_out.items()
        }

    def description(self):
        """Returns lines of text: images of each split and class, what is left out."""
        lines = [
            f"{part}: {self.num_images(part)} images ({split})"
            for part, split in self.splits.items()
        ]
        if isinstance(self.source, FolderSource):
            lines += self.source.folder.description()
        return [*self.notes, *lines]

    def batches(self, part, batch_size):
        """Every image of a part once, in a fixed order: (images, labels)."""
        dataset = self.source.encoded(self.splits[part])
        return self._batched(dataset, batch_size).prefetch(tf.data.AUTOTUNE)

    def evaluation_batches(self, part, batch_size):
        """Full batches of a part: (images, one-hot labels, weights).

        The last batch is filled with its own images at weight 0, so that every
        replica has as many. The others weigh alike, and more than 1 by the share
        of fillers: a mean over all rows is then the mean over the real images.
        """
        num_images = self.num_images(part)
        num_rows = -(-num_images // batch_size) * batch_size

        def fill(images, labels):
            rows, size = tf.range(batch_size), tf.shape(labels)[0]
            weights = tf.where(rows < size, num_rows / num_images, 0.0)
            images, labels = (
                tf.gather(images, rows % size),
                tf.gather(labels, rows % size),
            )
            return images, self._one_hot(labels), weights

        return self.batches(part, batch_size).map(fill).prefetch(tf.data.AUTOTUNE)

    def training_batches(
        self, batch_size, seed, augmentation=None, epochs=1, first_epoch=0
    ):
        """Shuffled full batches of the training part: (images, one-hot labels).

        Args:
            batch_size: int. What is left of an epoch is dropped.
            seed: int. With the number of the epoch it gives its order.
            augmentation: `Augmentation` or `None`.
            epochs: int, where the run ends.
            first_epoch: int, where it starts: what follows is then the same as if
                it had started at 0.
        """
        num_images = self.num_images("train")

        @tf.autograph.experimental.do_not_convert
        def epoch_batches(epoch):
            # Of this traced function alone; TensorFlow cannot combine a global seed
            # of 0 with one that is a tensor.
            tf.random.set_seed(seed + 1)
            epoch_seed = seed + epoch
            dataset = self.source.encoded(self.splits["train"], epoch_seed)
            # Encoded images are small: they are shuffled first and decoded after.
            dataset = dataset.shuffle(min(num_images, SHUFFLE_BUFFER), epoch_seed)
            return self._batched(dataset, batch_size, drop_remainder=True)

        dataset = tf.data.Dataset.range(first_epoch, epochs).flat_map(epoch_batches)
        dataset = dataset.map(lambda images, labels: (images, self._one_hot(labels)))
        if augmentation:
            first_step = first_epoch * (num_images // batch_size)
            # One batch at a time: its step sets the state of the layers' seeds.
            dataset = dataset.enumerate(first_step).map(
                lambda step, batch: augmentation(step, *batch)
            )
        return dataset.prefetch(tf.data.AUTOTUNE)

    def _one_hot(self, labels):
        return tf.one_hot(labels, len(self.class_names))

    def _batched(self, dataset, batch_size, drop_remainder=False):
        feature = self.source.info.features["image"]
        num_channels = _num_channels(feature)

        def decode(example):
            if _is_plain(feature):
                # Small, and written by TFDS: there is nothing to turn or to bound.
                image = feature.decode_example(example["image"])
            else:
                image = decode_image(example["image"], MAX_PIXELS, MAX_BYTES)
                image = to_channels(image, num_channels)
            return image, example["label"]

        def preprocess(images, labels):
            return self.preprocessor(images), labels

        calls = tf.data.AUTOTUNE
        dataset = dataset.map(decode, num_parallel_calls=calls)
        if not _is_plain(feature):
            dataset = dataset.map(preprocess, num_parallel_calls=calls)
            return dataset.batch(batch_size, drop_remainder=drop_remainder)
        dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
        return dataset.map(preprocess, num_parallel_calls=calls)


def load_data(config):
    """Prepares the dataset of a `Config`.

    Raises:
        ValueError: for an unknown dataset or split, one that is not image
            classification, or images that cannot be decoded.
    """
    looks_at_labels = config.objective == "labels"
    source = open_source(
        config.dataset,
        config.data_dir or None,
        config.bad_images == "skip",
        min_classes=2 if looks_at_labels else 1,
    )
    given = {part: getattr(config, f"{part}_split") for part in PARTS}
    splits, notes = choose_splits(source.info.splits, given)
    if isinstance(source, TfdsSource):
        for split in splits.values() if looks_at_labels else ():
            source.check_labels(split)
    elif source.largest > DEFAULT_MAX_PIXELS:
        notes.append(
            f"The largest image has {source.largest} pixels: a server refuses it "
            f"unless the model is exported with --max_pixels={source.largest}."
        )
    side = config.image_size or default_side(source.usual_side, config.size)
    feature = source.info.features["image"]
    return Data(
        source,
        ImagePreprocessor((side, side, _num_channels(feature))),
        source.class_names,
        splits,
        tuple(notes),
    )


def _num_channels(feature):
    """Channels that a model sees of images: alpha is dropped."""
    return 1 if feature.shape[-1] == 1 else 3


def _is_plain(feature):
    """Whether images are of one size, 8 bits, and gray or color."""
    known = None not in feature.shape and feature.np_dtype == np.uint8
    return known and feature.shape[-1] in (1, 3)
