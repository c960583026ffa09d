import itertools

import numpy as np
import pytest

from keras_concatplexer.analysis import draws


@pytest.mark.parametrize("num_mux, num_images", [(1, 5), (2, 6), (4, 8)])
def test_each_image_takes_each_slot_as_often(num_mux, num_images):
    random = np.random.default_rng(0)
    orders = draws.balanced_orders(random, num_images, num_mux)
    orders = list(itertools.islice(orders, 3 * num_mux))
    assert all(sorted(order) == list(range(num_images)) for order in orders)
    slots = np.argsort(orders, axis=-1) % num_mux
    counts = np.stack([(slots == slot).sum(0) for slot in range(num_mux)])
    np.testing.assert_array_equal(counts, 3)
    assert len({tuple(order) for order in orders}) == len(orders)


def test_every_order_is_as_likely():
    random = np.random.default_rng(0)
    orders = itertools.islice(draws.balanced_orders(random, 4, 2), 4800)
    _, counts = np.unique(list(orders), axis=0, return_counts=True)
    # 200 expected, standard deviation 14.
    assert len(counts) == 24 and np.abs(counts - 200).max() < 70


def test_groups_of_one_class_come_first():
    labels = np.array([0, 1, 0, 1, 1, 0, 2, 0, 1, 1])
    seen = set()
    for seed in range(20):
        order = draws.same_class_order(np.random.default_rng(seed), labels, 2)
        assert sorted(order) == list(range(10))
        pairs = labels[order].reshape(-1, 2)
        np.testing.assert_array_equal(pairs[:4, 0], pairs[:4, 1])
        # What is left over changes: no image is always without its class.
        seen.update(order[8:])
    assert seen == {1, 3, 4, 6, 8, 9}


def test_answers_come_back_in_the_order_of_the_images():
    images = np.arange(5.0).reshape(5, 1)
    labels = np.array([0, 0, 1, 1, 0])
    received = []

    def forward(rows):
        received.append(rows[:, 0])
        return rows + 1, np.concatenate([rows, 0 * rows], -1)

    order = np.array([3, 1, 0, 4, 2])
    draw = draws.run(forward, images, labels, order, num_mux=2, num_rows=8)
    # Filled from the order's start; groups (3, 1), (0, 4), (2, 3).
    np.testing.assert_array_equal(received[0], [3, 1, 0, 4, 2, 3, 1, 0])
    np.testing.assert_array_equal(draw.slots, [0, 1, 0, 0, 1])
    np.testing.assert_array_equal(draw.same_class, [1, 0, 1, 0, 1])
    np.testing.assert_array_equal(draw.other_class, [0, 1, 0, 1, 0])
    expected = np.exp(np.arange(5)) / (np.exp(np.arange(5)) + 1)
    np.testing.assert_allclose(draw.probabilities[:, 0], expected)
    np.testing.assert_array_equal(draw.features, np.ones((5, 1)))
