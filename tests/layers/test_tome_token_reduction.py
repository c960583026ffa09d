import numpy as np
import pytest
import tensorflow as tf

from keras_concatplexer.layers import ToMeTokenReduction


def reference_round(tokens, sizes, num_merged):
    """One round on one image, written as loops."""
    first, second = list(range(0, len(tokens), 2)), list(range(1, len(tokens), 2))
    unit = tokens / np.linalg.norm(tokens, axis=-1, keepdims=True)
    similarity = unit[first] @ unit[second].T
    order = np.argsort(-similarity.max(-1), kind="stable")
    merged = {j: [j] for j in second}
    for i in order[:num_merged]:
        merged[second[similarity[i].argmax()]].append(first[i])
    rows = [[first[i]] for i in sorted(order[num_merged:])] + list(merged.values())
    new_tokens = [np.average(tokens[row], axis=0, weights=sizes[row]) for row in rows]
    return np.stack(new_tokens), np.array([sizes[row].sum() for row in rows])


@pytest.mark.parametrize(
    "grid_shape, strides, rounds",
    [((4, 4), (1, 2), [8]), ((4, 4), (2, 2), [8, 4]), ((3, 3), (1, 2), [3])],
)
def test_merges_as_the_paper_says(grid_shape, strides, rounds):
    num_tokens = grid_shape[0] * grid_shape[1]
    tokens = np.random.default_rng(0).normal(size=(3, num_tokens, 6))
    layer = ToMeTokenReduction(grid_shape, strides)
    merged, sizes = layer.merge(tf.constant(tokens, tf.float32))
    assert merged.shape == (3, layer.num_reduced_tokens, 6)
    for image in range(3):
        expected, expected_sizes = tokens[image], np.ones(num_tokens)
        for num_merged in rounds:
            expected, expected_sizes = reference_round(
                expected, expected_sizes, num_merged
            )
        np.testing.assert_allclose(merged[image], expected, atol=1e-5)
        np.testing.assert_array_equal(sizes[image, :, 0], expected_sizes)


def test_nothing_is_lost():
    tokens = np.random.default_rng(0).normal(size=(3, 16, 6)).astype("float32")
    merged, sizes = ToMeTokenReduction((4, 4), (2, 2)).merge(tf.constant(tokens))
    np.testing.assert_array_equal(np.sum(sizes, axis=(1, 2)), [16] * 3)
    np.testing.assert_allclose(
        np.sum(merged * sizes, axis=1), tokens.sum(axis=1), atol=1e-4
    )


def test_layer(check_layer):
    check_layer(ToMeTokenReduction((4, 4), (2, 2)), (3, 16, 8), (3, 4, 8))


def test_gradient_reaches_every_token():
    tokens = tf.random.stateless_normal((2, 16, 6), seed=(0, 0))
    layer = ToMeTokenReduction((4, 4), (2, 2))
    with tf.GradientTape() as tape:
        tape.watch(tokens)
        loss = tf.reduce_sum(layer(tokens) ** 2)
    gradient = tape.gradient(loss, tokens)
    assert tf.reduce_all(tf.reduce_max(tf.abs(gradient), axis=-1) > 0)
