import numpy as np

from keras_concatplexer.analysis import draws


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
