import numpy as np
import pytest
import tensorflow as tf

from train.data.augmentation import Augmentation

SHAPE = (16, 16, 3)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (8, *SHAPE)).astype("float32")
    return images, tf.one_hot(np.arange(8), 8)


def changed(batch, step=3, **kwargs):
    images, labels = Augmentation(SHAPE, **kwargs)(tf.constant(step), *batch)
    return images.numpy(), labels.numpy()


@pytest.mark.parametrize(
    "settings",
    [
        {"geometry": "shift"},
        {"geometry": "flip"},
        {"geometry": "flip_crop"},
        {"randaugment": 0.5},
        {"random_erasing": 1.0},
        {"mixup": 0.4},
        {"cutmix": 1.0},
    ],
)
def test_changes_depend_on_seed_and_step_alone(batch, settings):
    images, labels = changed(batch, **settings)
    assert images.shape == batch[0].shape
    assert np.abs(images - batch[0]).mean() > 0.01
    assert images.min() >= -1.001 and images.max() <= 1.001
    np.testing.assert_allclose(labels.sum(-1), 1, rtol=1e-6)
    for same in (changed(batch, **settings), in_a_dataset(batch, settings)):
        np.testing.assert_allclose(images, same[0], atol=1e-6)
        np.testing.assert_allclose(labels, same[1], atol=1e-6)
    assert np.any(images != changed(batch, step=4, **settings)[0])
    assert np.any(images != changed(batch, seed=1, **settings)[0])


def in_a_dataset(batch, settings):
    augmentation = Augmentation(SHAPE, **settings)
    dataset = tf.data.Dataset.from_tensors(batch).repeat(4).enumerate()
    dataset = dataset.map(lambda step, batch: augmentation(step, *batch))
    *_, last = dataset.as_numpy_iterator()
    return last


def test_crop_moves_each_image_by_whole_pixels(batch):
    images, labels = changed(batch, geometry="crop")
    np.testing.assert_array_equal(labels, batch[1])
    shifts = set()
    for original, moved in zip(batch[0], images, strict=True):
        padded = np.pad(original, ((2, 2), (2, 2), (0, 0)))
        found = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if np.allclose(padded[top : top + 16, left : left + 16], moved)
        ]
        assert len(found) == 1
        shifts.update(found)
    assert len(shifts) > 1


def test_mixup_and_cutmix_take_turns(batch):
    both = {"mixup": 0.4, "cutmix": 1.0}
    for step, alone in ((2, {"mixup": 0.4}), (3, {"cutmix": 1.0})):
        images, labels = changed(batch, step, **both)
        pixels_of_the_batch = np.isin(images, batch[0]).mean()
        assert (pixels_of_the_batch == 1) == ("cutmix" in alone)
        assert labels.shape == (8, 8)


def test_changes_are_the_same_in_every_preprocessing(batch):
    options = {"geometry": "flip_crop", "randaugment": 0.5, "random_erasing": 0.5}
    expected, _ = changed(batch, **options)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.1)
    normalised = (((batch[0] + 1) / 2 - mean) / std).astype("float32")
    images, _ = changed((normalised, batch[1]), mean=mean, std=std, **options)
    np.testing.assert_allclose((images * std + mean) * 2 - 1, expected, atol=1e-5)


def test_nothing_to_change():
    assert not Augmentation(SHAPE)
    assert Augmentation(SHAPE, cutmix=1.0)


def test_colors_of_gray_images():
    with pytest.raises(ValueError, match="needs images of 3 channels"):
        Augmentation((16, 16, 1), randaugment=0.5)
