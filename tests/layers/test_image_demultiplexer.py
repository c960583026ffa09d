import keras
import numpy as np
import pytest
from keras import ops

from keras_concatplexer.choices import DEMULTIPLEXERS
from keras_concatplexer.layers import (
    ImageDemultiplexer,
    ImageMultiplexer,
    SlotConditionedMLP,
    SlotHeads,
)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def call(layer, *inputs):
    return ops.convert_to_numpy(ops.cast(layer(*inputs), "float32"))


def mixture(method, num_mux, num_groups=2):
    return normal(num_groups, 6 + (num_mux if method == "index" else 0), 16)


@pytest.mark.parametrize("num_mux", [1, 2, 4])
@pytest.mark.parametrize("method", DEMULTIPLEXERS)
def test_shapes_and_config(method, num_mux):
    layer = ImageDemultiplexer(num_mux, method)
    inputs, reference = mixture(method, num_mux), np.zeros(2 * num_mux - num_mux // 2)
    outputs = call(layer, inputs, reference)
    assert outputs.shape == (len(reference), 6, 16)
    assert layer.compute_output_shape(inputs.shape, reference.shape) == outputs.shape
    copy = ImageDemultiplexer.from_config(layer.get_config())
    copy.build(inputs.shape, reference.shape)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(call(copy, inputs, reference), outputs)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("method", DEMULTIPLEXERS)
def test_mixed_precision(method, policy):
    layer = ImageDemultiplexer(2, method, dtype=policy)
    inputs, reference = mixture(method, 2), np.zeros((4,))
    outputs = layer(inputs, reference)
    assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    full = ImageDemultiplexer(2, method)
    full.build(inputs.shape, reference.shape)
    full.set_weights(layer.get_weights())
    expected = call(full, inputs, reference)
    np.testing.assert_allclose(call(layer, inputs, reference), expected, atol=0.15)


@pytest.mark.parametrize("method", DEMULTIPLEXERS)
def test_slots_are_read_apart_and_rows_are_in_order(method):
    layer = ImageDemultiplexer(2, method)
    inputs = mixture(method, 2, num_groups=3)
    outputs = call(layer, inputs, np.zeros((6,)))
    assert np.abs(outputs[0] - outputs[1]).max() > 0.1
    # Rows 2 and 3 are those of the second group alone.
    alone = call(layer, inputs[1:2], np.zeros((2,)))
    np.testing.assert_allclose(outputs[2:4], alone, atol=1e-5)
    np.testing.assert_array_equal(call(layer, inputs, np.zeros((5,))), outputs[:5])


@pytest.mark.parametrize("batch_size", [4, 6, 8])
def test_holographic_pair_recovers_each_image(batch_size):
    """Theory of the holographic pair with unitary keys and nothing in between.

    With orthogonal binding maps K_i, slot i of the mixture reads
    `z_i = (x_i + sum_{j != i} K_i^T K_j x_j) / sqrt(N)`. For independent normal x
    of D features each of the N terms has norm about sqrt(D), and those of
    different images are uncorrelated: cos(z_i, x_i) is 1 / sqrt(N) in the mean,
    with a deviation below 1 / sqrt(D) per token.

    Chance is 0. An image x_k of the same group, or a filler copy of x_i, comes in
    through `x_k^T K_i^T K_k x_k / D`, in the mean the trace of K_i^T K_k over D:
    the first entry of a random key of norm 1, a deviation of 1 / sqrt(D) that the
    keys fix for all tokens; divided by sqrt(N) as every term.
    """
    num_mux, num_tokens, hidden_dim = 4, 50, 512
    images = normal(batch_size, num_tokens, hidden_dim)
    mixed = ImageMultiplexer(num_mux, "holographic", seed=3)(images)
    read = call(ImageDemultiplexer(num_mux, "unbind", seed=3), mixed, images)
    assert read.shape == images.shape

    def normalize(x):
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    # [token, row that is read, image]
    cosines = np.einsum("atd,btd->tab", normalize(read), normalize(images))
    own = np.diagonal(cosines, axis1=1, axis2=2)
    others = cosines[:, ~np.eye(batch_size, dtype=bool)]
    # Within 4 deviations: of the mean over tokens, and of what the keys fix.
    over_tokens = 4 / np.sqrt(hidden_dim * num_tokens)
    by_keys = 4 / np.sqrt(hidden_dim * num_mux)
    margin = 1 / np.sqrt(num_mux)
    np.testing.assert_allclose(
        own.mean(axis=0),
        margin,
        atol=over_tokens + (by_keys if batch_size % num_mux else 0),
    )
    np.testing.assert_allclose(others.mean(axis=0), 0, atol=over_tokens + by_keys)
    # The margin is 11 deviations of a token's cosine: each token finds its image.
    found = cosines.argmax(axis=2)
    assert (found == np.arange(batch_size)).all()


def test_unbinding_with_another_seed_is_chance():
    images = normal(4, 50, 512)
    mixed = ImageMultiplexer(4, "holographic", seed=3)(images)
    read = call(ImageDemultiplexer(4, "unbind", seed=4), mixed, images)
    cosines = np.sum(read * images, axis=-1) / (
        np.linalg.norm(read, axis=-1) * np.linalg.norm(images, axis=-1)
    )
    assert np.abs(cosines.mean(axis=1)).max() < 4 / np.sqrt(512)


def test_conditioned_mlp_is_an_mlp_on_the_concatenation():
    layer = SlotConditionedMLP(mlp_dim=12)
    tokens, vectors = normal(3, 5, 8), normal(3, 2, 8, seed=1)
    outputs = call(layer, tokens, vectors)
    joined = np.concatenate(
        [
            np.broadcast_to(tokens[:, None], (3, 2, 5, 8)),
            np.broadcast_to(vectors[:, :, None], (3, 2, 5, 8)),
        ],
        axis=-1,
    )
    kernel = np.concatenate([layer.token_part.kernel, layer.slot_part.kernel], axis=0)
    expected = layer.projection(ops.gelu(joined @ kernel + layer.token_part.bias))
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    assert layer.compute_output_shape(tokens.shape, vectors.shape) == outputs.shape
    assert SlotConditionedMLP.from_config(layer.get_config()).mlp_dim == 12


def test_slot_heads_are_independent():
    layer = SlotHeads(num_mux=2, mlp_dim=12)
    tokens = normal(3, 5, 8)
    before = call(layer, tokens)
    assert layer.compute_output_shape(tokens.shape) == before.shape
    layer.projections[1].kernel.assign(layer.projections[1].kernel * 2)
    after = call(layer, tokens)
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    assert np.abs(after[:, 1] - before[:, 1]).max() > 0.1
    assert SlotHeads.from_config(layer.get_config()).mlp_dim == 12


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ImageDemultiplexer(0), "`num_mux` must be"),
        (lambda: ImageDemultiplexer(2, "guess"), "`method` must be one of"),
        (lambda: ImageDemultiplexer(2, mlp_dim=0), "`mlp_dim` must be"),
        (lambda: ImageDemultiplexer(2, "unbind", mlp_dim=8), "has none"),
        (
            lambda: ImageDemultiplexer(2).build((None, 2, 8), (None,)),
            "behind 2 index tokens",
        ),
        (lambda: SlotConditionedMLP(0), "`mlp_dim` must be"),
        (lambda: SlotHeads(0, 8), "`num_mux` must be"),
        (lambda: SlotHeads(2, 0), "`mlp_dim` must be"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
