"""Image classification data as batches for a model."""

import dataclasses
import itertools

import tensorflow as tf
import tensorflow_datasets as tfds

from keras_concatplexer.preprocessing import ImagePreprocessor
from keras_concatplexer.vit import SIZES
from train.data.datasets import FolderSource, TfdsSource, open_source

VARYING_IMAGE_SIZE = 224
MIN_PATCHES_PER_SIDE = 4
SHUFFLE_BUFFER = 50_000


@dataclasses.dataclass(frozen=True)
class Data:
    """Prepared data and how a model must see it.

    Attributes:
        source: where the examples come from.
        preprocessor: `ImagePreprocessor` for the model's image shape.
        class_names: tuple of str.
        splits: dict with keys `train`, `validation`, `test` -> TFDS split.
    """

    source: TfdsSource | FolderSource
    preprocessor: ImagePreprocessor
    class_names: tuple
    splits: dict

    def num_images(self, part):
        """Number of images in `"train"`, `"validation"` or `"test"`."""
        return self.source.info.splits[self.splits[part]].num_examples

    def fingerprint(self, part):
        """Returns a str that changes with the files of a part, or their order."""
        return self.source.fingerprint(self.splits[part])

    def overlaps(self):
        """Returns list of (part, another part, number of images that are in both)."""
        known = dict(self.source.info.splits)

        def ranges(part):
            instruction = tfds.core.ReadInstruction.from_spec(self.splits[part])
            for piece in instruction.to_absolute(known):
                whole = range(known[piece.splitname].num_examples)
                yield piece.splitname, whole[piece.from_ : piece.to]

        found = []
        for first, second in itertools.combinations(self.splits, 2):
            shared = sum(
                max(0, min(ours.stop, theirs.stop) - max(ours.start, theirs.start))
                for name, ours in ranges(first)
                for other, theirs in ranges(second)
                if name == other
            )
            if shared:
                found.append((first, second, shared))
        return found

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

        def decode(example):
            return feature.decode_example(example["image"]), example["label"]

        def preprocess(images, labels):
            return self.preprocessor(images), labels

        calls = tf.data.AUTOTUNE
        dataset = dataset.map(decode, num_parallel_calls=calls)
        if None in feature.shape:
            dataset = dataset.map(preprocess, num_parallel_calls=calls)
            return dataset.batch(batch_size, drop_remainder=drop_remainder)
        dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
        return dataset.map(preprocess, num_parallel_calls=calls)


def load_data(config):
    """Prepares the dataset of a `Config`.

    Raises:
        ValueError: for an unknown dataset or split, or one that is not image
            classification.
    """
    source = open_source(config.dataset, config.data_dir or None)
    known = source.info.splits
    splits = {
        "train": config.train_split,
        "validation": config.validation_split,
        "test": config.test_split or ("test" if "test" in known else "validation"),
    }
    for split in splits.values():
        try:
            empty = known[split].num_examples == 0
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"The dataset {config.dataset} has no split {split!r}. It has: "
                f"{', '.join(known)}. Set --train_split, --validation_split, "
                "--test_split."
            ) from error
        if empty:
            raise ValueError(f"The split {split!r} of {config.dataset} is empty.")
    shape = source.info.features["image"].shape
    side = config.image_size or _default_image_size(shape, config.size)
    return Data(
        source,
        ImagePreprocessor((side, side, shape[-1] or 3)),
        tuple(source.info.features["label"].names),
        splits,
    )


def _default_image_size(shape, size):
    if None in shape[:2]:
        return VARYING_IMAGE_SIZE
    return max(shape[0], MIN_PATCHES_PER_SIDE * SIZES[size].patch_size)
