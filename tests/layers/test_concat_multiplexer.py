import numpy as np
import pytest

from keras_concatplexer.layers import ConcatMultiplexer


@pytest.mark.parametrize(
    "num_images, strides, tokens_per_image",
    [(1, (1, 1), 17), (2, (1, 2), 9), (4, (2, 2), 5), (8, (2, 4), 3), (16, 4, 2)],
)
def test_shapes(num_images, strides, tokens_per_image, check_layer):
    layer = ConcatMultiplexer(num_images, (4, 4), strides)
    assert layer.tokens_per_image == tokens_per_image
    groups = -(-5 // num_images)
    check_layer(layer, (5, 17, 8), (groups, num_images * tokens_per_image, 8))


def test_class_tokens_are_not_reduced_and_images_stand_in_a_row():
    tokens = np.random.default_rng(0).normal(size=(4, 17, 8)).astype("float32")
    sequence = np.asarray(ConcatMultiplexer(2, (4, 4), (1, 2))(tokens))
    np.testing.assert_array_equal(sequence[0, 0], tokens[0, 0])
    np.testing.assert_array_equal(sequence[0, 9], tokens[1, 0])
    np.testing.assert_array_equal(sequence[1, 9], tokens[3, 0])
    # At the start a reduced token is the mean of two neighbours in a row.
    np.testing.assert_allclose(sequence[0, 1], tokens[0, 1:3].mean(0), atol=1e-6)


def test_a_single_image_without_reduction_passes_unchanged():
    tokens = np.random.default_rng(0).normal(size=(3, 17, 8)).astype("float32")
    layer = ConcatMultiplexer(1, (4, 4), 1)
    np.testing.assert_array_equal(layer(tokens), tokens)
    assert layer.weights == []


def test_slot_embedding_only_between_images():
    layer = ConcatMultiplexer(1, (4, 4), strides=(1, 2))
    assert layer.slot_embedding is None
    assert ConcatMultiplexer(2, (4, 4), (1, 2)).slot_embedding is not None


def test_several_prefix_tokens():
    layer = ConcatMultiplexer(2, (4, 4), (1, 2), num_prefix_tokens=2)
    assert layer(np.zeros((4, 18, 8))).shape == (2, 20, 8)


@pytest.mark.parametrize("reducer", ["conv", "mean", "tome", "select"])
def test_reducers_keep_as_many_tokens(reducer, check_layer):
    layer = ConcatMultiplexer(2, (3, 4), strides=(2, 2), reducer=reducer)
    scores = np.random.default_rng(0).normal(size=(5, 12)).astype("float32")
    given = {"scores": scores} if reducer == "select" else {}
    check_layer(layer, (5, 13, 8), (3, 2 * 5, 8), **given)


@pytest.mark.parametrize("num_images", [1, 2])
def test_sizes_stand_beside_their_tokens(num_images):
    layer = ConcatMultiplexer(
        num_images, (4, 4), strides=(2, 2), reducer="tome", return_sizes=True
    )
    tokens = np.random.default_rng(0).normal(size=(3, 17, 8)).astype("float32")
    sequence, log_sizes = layer(tokens)
    groups = -(-3 // num_images)
    assert sequence.shape == (groups, num_images * 5, 8)
    sizes = np.exp(log_sizes).reshape(groups, num_images, 5)
    np.testing.assert_allclose(sizes[..., 0], 1)
    np.testing.assert_allclose(sizes[..., 1:].sum(-1), 16, rtol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="Only the reducer 'tome' merges"):
        ConcatMultiplexer(2, (4, 4), (1, 2), return_sizes=True)
    with pytest.raises(ValueError, match="`scores` must be given where the reducer"):
        ConcatMultiplexer(2, (4, 4), (1, 2), reducer="select")(np.zeros((2, 17, 8)))
    with pytest.raises(ValueError, match="`kernel_size` goes with reducer='conv'"):
        ConcatMultiplexer(2, (4, 4), (1, 2), kernel_size=2, reducer="mean")
    with pytest.raises(ValueError, match="images_per_sequence=0"):
        ConcatMultiplexer(0, (4, 4), 1)
    with pytest.raises(ValueError, match="`reducer` must be one of .*'pool'"):
        ConcatMultiplexer(2, (4, 4), (1, 2), reducer="pool")
    with pytest.raises(ValueError, match=r"Expected tokens of shape \(batch_size, 17"):
        ConcatMultiplexer(2, (4, 4), (1, 2))(np.zeros((2, 16, 8)))
    with pytest.raises(ValueError, match=r"Received: shape=\(2, 17\)"):
        ConcatMultiplexer(2, (4, 4), (1, 2))(np.zeros((2, 17)))
