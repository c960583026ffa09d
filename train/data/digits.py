"""The embedded dataset: scikit-learn's handwritten digits as a TFDS builder."""

import numpy as np
import tensorflow_datasets as tfds

NUM_TEST_IMAGES = 360
SPLIT_SEED = 0


class Digits(tfds.core.GeneratorBasedBuilder):
    """1,797 handwritten digits of 8 x 8 pixels, from scikit-learn, no download.

    The test part of the UCI Optical Recognition of Handwritten Digits data set
    (Alpaydin and Kaynak, 1998). The split into 1,437 training and 360 test images
    is drawn once, with equal shares of the classes, by a fixed seed.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(
                        names=[str(digit) for digit in range(10)]
                    ),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://doi.org/10.24432/C50P49",
        )

    def _split_generators(self, dl_manager):
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        # Sixteen levels of gray, stretched to the range of 8-bit images.
        images = np.round(digits.images * (255 / 16)).astype("uint8")[..., None]
        rows = np.arange(len(images))
        train_rows, test_rows = train_test_split(
            rows,
            test_size=NUM_TEST_IMAGES,
            stratify=digits.target,
            random_state=SPLIT_SEED,
        )
        return {
            "train": self._generate_examples(images, digits.target, train_rows),
            "test": self._generate_examples(images, digits.target, test_rows),
        }

    def _generate_examples(self, images, labels, rows):
        for row in rows:
            yield int(row), {"image": images[row], "label": int(labels[row])}
