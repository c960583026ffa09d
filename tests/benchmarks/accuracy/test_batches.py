import numpy as np
import pytest

from benchmarks.accuracy.batches import Batches


@pytest.fixture
def data():
    # Constant images, which no shift and no mirror changes.
    labels = np.arange(10)
    images = np.broadcast_to(labels[:, None, None, None], (10, 4, 4, 1))
    return images.astype("float32"), labels


def read(batches):
    return [batches[index] for index in range(len(batches))]


def test_an_epoch_has_full_batches_of_different_images(data):
    batches = Batches(*data, batch_size=4, shift=0.1, flip=True)
    assert len(batches) == 2
    for _ in range(3):
        epoch = read(batches)
        for images, labels in epoch:
            np.testing.assert_allclose(images.mean((1, 2, 3)), labels, rtol=1e-6)
        assert len({label for _, labels in epoch for label in labels}) == 8
        batches.on_epoch_end()


def test_the_order_depends_on_the_seed_and_epoch(data):
    first, same, other = (Batches(*data, batch_size=5, seed=s) for s in (1, 1, 2))
    orders = [np.concatenate([b for _, b in read(x)]) for x in (first, same, other)]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()
    first.on_epoch_end()
    assert (np.concatenate([b for _, b in read(first)]) != orders[0]).any()


def test_too_few_images_are_refused(data):
    with pytest.raises(ValueError, match="10 training images do not fill one batch"):
        Batches(*data, batch_size=11)
