import numpy as np
import pytest
from keras import ops

from keras_concatplexer.layers import ImageMultiplexer
from keras_concatplexer.layers.image_multiplexer import TRANSFORMS

# The contextual transform is trained, so that its variance is no one's choice.
LINEAR = [transform for transform in TRANSFORMS if transform != "contextual"]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def call(layer, *inputs):
    return ops.convert_to_numpy(layer(*inputs))


@pytest.mark.parametrize("index_prefix", [False, True])
@pytest.mark.parametrize("num_mux", [1, 2, 4])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_shapes_and_config(transform, num_mux, index_prefix):
    layer = ImageMultiplexer(num_mux, transform, index_prefix=index_prefix)
    tokens = normal(5, 6, 16)
    outputs = call(layer, tokens)
    assert outputs.shape == (-(-5 // num_mux), 6 + index_prefix * num_mux, 16)
    assert layer.compute_output_shape(tokens.shape) == outputs.shape
    assert layer.compute_output_shape((None, 6, 16))[0] is None
    copy = ImageMultiplexer.from_config(layer.get_config())
    copy.build(tokens.shape)
    assert len(copy.weights) == len(layer.weights)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(call(copy, tokens), outputs)


@pytest.mark.parametrize("num_mux", [1, 2, 4])
@pytest.mark.parametrize(
    "transform, overlap",
    [*((transform, 0.0) for transform in LINEAR), ("binary_hadamard", 0.5)],
)
def test_mixture_has_the_variance_of_one_image(transform, num_mux, overlap):
    layer = ImageMultiplexer(num_mux, transform, overlap=overlap)
    # 4000 tokens of 64 independent features each: 256,000 normal values, which
    # are independent but within a token. The standard error of their variance is
    # at most sqrt(2 / 4000) * c, c <= 1 the share of a token's features that vary
    # together: 0.022 at worst. The sum over slots of a Gaussian vector's squares,
    # averaged over the features, is num_mux exactly.
    mixture = call(layer, normal(400 * num_mux, 10, 64))
    assert abs(np.var(mixture) - 1) < 0.03
    assert abs(np.mean(mixture)) < 0.03


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_mixture_is_the_scaled_sum_of_the_slots(transform):
    layer = ImageMultiplexer(2, transform)
    tokens = normal(2, 6, 16)
    mixture = call(layer, tokens)
    slots = call(layer.slot_transform, tokens[None])
    np.testing.assert_allclose(mixture, slots.sum(axis=1) / np.sqrt(2), atol=1e-5)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_slots_are_told_apart(transform):
    layer = ImageMultiplexer(2, transform)
    tokens = normal(2, 6, 16)
    assert np.abs(call(layer, tokens) - call(layer, tokens[::-1])).max() > 0.1


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5])
def test_last_group_is_filled_from_the_start_of_the_batch(batch_size):
    layer = ImageMultiplexer(4)
    tokens = normal(batch_size, 6, 16)
    full = tokens[np.arange(-(-batch_size // 4) * 4) % batch_size]
    if batch_size == 5:
        full = tokens[[0, 1, 2, 3, 4, 0, 1, 2]]
    np.testing.assert_array_equal(call(layer, tokens), call(layer, full))


def test_groups_do_not_mix():
    layer = ImageMultiplexer(2, index_prefix=True)
    tokens = normal(4, 6, 16)
    before = call(layer, tokens)
    tokens[0] += 1
    changed = np.abs(call(layer, tokens) - before).max(axis=(1, 2)) > 1e-6
    np.testing.assert_array_equal(changed, [True, False])


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_trainable_keys(transform):
    fixed = ImageMultiplexer(2, transform)
    trained = ImageMultiplexer(2, transform, trainable_keys=True)
    for layer in fixed, trained:
        layer.build((None, 6, 16))
    assert len(fixed.non_trainable_weights) >= 1
    assert not trained.non_trainable_weights
    assert len(trained.weights) == len(fixed.weights)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ImageMultiplexer(0), "`num_mux` must be"),
        (lambda: ImageMultiplexer(2, "fourier"), "`transform` must be one of"),
        (lambda: ImageMultiplexer(2, overlap=0.5), "transform='binary_hadamard'"),
        (lambda: ImageMultiplexer(2, num_heads=2), "transform='contextual'"),
        (lambda: ImageMultiplexer(2).build((None, 16)), "Expected tokens of shape"),
        (
            lambda: ImageMultiplexer(2).build((None, None, 16)),
            "Expected tokens of shape",
        ),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
