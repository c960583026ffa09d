import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from train.config import Config
from train.data import load_data
from train.data.augmentation import Augmentation


@pytest.fixture
def config(digits_dir):
    return Config(data_dir=str(digits_dir))


def test_digits_are_the_real_ones(digits_dir):
    from sklearn.datasets import load_digits

    info = tfds.builder("digits", data_dir=digits_dir).info
    assert info.splits["train"].num_examples == 1437
    assert info.splits["test"].num_examples == 360
    assert info.features["label"].names == [str(digit) for digit in range(10)]
    examples = [
        example
        for split in ("train", "test")
        for example in tfds.as_numpy(
            tfds.load("digits", split=split, data_dir=digits_dir)
        )
    ]
    original = load_digits()
    labels = np.array([example["label"] for example in examples])
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(original.target))
    stored = np.stack([example["image"][..., 0] for example in examples])
    levels = np.round(stored / (255 / 16))
    ours = sorted(map(bytes, levels.astype("uint8")))
    assert ours == sorted(map(bytes, original.images.astype("uint8")))


def test_parts_do_not_overlap_and_are_complete(config):
    data = load_data(config)
    assert data.class_names == tuple("0123456789")
    assert data.preprocessor.image_shape == (16, 16, 1)
    assert [data.num_images(p) for p in ("train", "validation", "test")] == [
        1293,
        144,
        360,
    ]
    images, labels = zip(*data.batches("test", 64), strict=True)
    assert [len(batch) for batch in labels] == [64] * 5 + [40]
    assert images[0].shape == (64, 16, 16, 1)
    assert np.min(images[0]) == -1 and 0.8 < np.max(images[0]) <= 1


def test_training_batches_are_full_shuffled_and_repeatable(config):
    data = load_data(config)

    def labels(seed, epochs=1, first_epoch=0):
        batches = data.training_batches(
            64, seed, epochs=epochs, first_epoch=first_epoch
        )
        return np.concatenate([np.argmax(labels, -1) for _, labels in batches])

    first = labels(0)
    assert len(first) == 20 * 64
    np.testing.assert_array_equal(first, labels(0))
    assert np.any(first != labels(5))
    both = labels(0, epochs=2)
    np.testing.assert_array_equal(both[: len(first)], first)
    assert np.any(both[len(first) :] != first)


def test_a_run_that_goes_on_sees_what_an_uninterrupted_one_would(config):
    data = load_data(
        dataclasses.replace(
            config, train_split="train[:64]", validation_split="train[90%:]"
        )
    )

    def batches(first_epoch):
        augmentation = Augmentation((16, 16, 1), geometry="flip_shift", mixup=0.4)
        dataset = data.training_batches(16, 3, augmentation, 3, first_epoch)
        return list(dataset.as_numpy_iterator())

    whole, rest = batches(0), batches(2)
    assert (len(whole), len(rest)) == (12, 4)
    for (images, labels), (same_images, same_labels) in zip(
        whole[8:], rest, strict=True
    ):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)


@pytest.mark.parametrize(
    "num_images", [pytest.param(n, marks=pytest.mark.large) for n in (1, 31, 32)] + [33]
)
def test_evaluation_is_exact_for_any_number_of_images(config, two_replicas, num_images):
    data = load_data(dataclasses.replace(config, test_split=f"test[:{num_images}]"))
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
    images, labels = next(iter(data.batches("test", num_images)))
    logits = model(images)
    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, True)
    accuracy = np.mean(np.argmax(logits, -1) == labels)

    for strategy in (
        tf.distribute.get_strategy(),
        two_replicas,
    ):
        with strategy.scope():
            copy = keras.models.clone_model(model)
            copy.build(images.shape)
            copy.set_weights(model.get_weights())
            copy.compile(
                loss=keras.losses.CategoricalCrossentropy(from_logits=True),
                weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            )
        batches = data.evaluation_batches("test", 32)
        assert all(len(images) == 32 for images, _, _ in batches)
        results = copy.evaluate(batches, return_dict=True, verbose=0)
        assert results["accuracy"] == pytest.approx(accuracy, abs=1e-6)
        assert results["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"dataset": "digit"}, "Unknown dataset 'digit'.*Did you mean digits"),
        ({"train_split": "training"}, "no split 'training'. There are: train, test"),
        ({"test_split": "test[360:]"}, "The split 'test\\[360:\\]' is empty"),
    ],
)
def test_errors(config, changes, message):
    with pytest.raises(ValueError, match=message):
        load_data(dataclasses.replace(config, **changes))


def test_other_kinds_of_data_are_refused(tmp_path):
    class Regression(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(8, 8, 1)),
                "price": tf.float32,
            }
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            yield 0, {"image": np.zeros((8, 8, 1), "uint8"), "price": 1.0}

    with pytest.raises(ValueError, match="regression is not image classification"):
        load_data(Config(dataset="regression", data_dir=str(tmp_path)))


def test_images_of_varying_size(tmp_path):
    class Varying(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(None, None, 3)),
                        "label": tfds.features.ClassLabel(names=["a", "b"]),
                    }
                )
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for index in range(10):
                image = np.full((8 + index, 9, 3), index, "uint8")
                yield index, {"image": image, "label": index % 2}

    config = Config(
        dataset="varying",
        data_dir=str(tmp_path),
        train_split="train[:6]",
        validation_split="train[6:8]",
        test_split="train[8:]",
    )
    # The usual side is 9, of 4 patches of 4 pixels at least.
    assert load_data(config).preprocessor.image_shape == (16, 16, 3)
    data = load_data(dataclasses.replace(config, image_size=16))
    batches = list(data.training_batches(4, seed=0))
    assert [images.shape for images, _ in batches] == [(4, 16, 16, 3)]
