"""The slot transforms and the parts around them, each by itself."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_concatplexer import layers

NUM_MUX, NUM_TOKENS, HIDDEN_DIM = 2, 5, 16

TRANSFORMS = {
    "gaussian": lambda **options: layers.HadamardTransform(NUM_MUX, **options),
    "binary": lambda **options: layers.HadamardTransform(
        NUM_MUX, kind="binary", overlap=0.5, **options
    ),
    "orthogonal": lambda **options: layers.OrthogonalTransform(NUM_MUX, **options),
    "low_rank": lambda **options: layers.OrthogonalTransform(
        NUM_MUX, low_rank=True, **options
    ),
    "contextual": lambda **options: layers.ContextualTransform(
        NUM_MUX, num_heads=2, **options
    ),
    "holographic": lambda **options: layers.HolographicBinding(NUM_MUX, **options),
    "prefix": lambda **options: layers.IndexPrefix(NUM_MUX, **options),
}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def identity_groups():
    """Tokens whose outputs under a linear map are the rows of its matrix."""
    return np.broadcast_to(np.eye(HIDDEN_DIM, dtype="float32"), (1, 2, 16, 16))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_config_gives_the_same_layer(name):
    layer = TRANSFORMS[name](name=name)
    groups = normal(3, NUM_MUX, NUM_TOKENS, HIDDEN_DIM)
    outputs = layer(groups)
    copy = type(layer).from_config(layer.get_config())
    copy.build(groups.shape)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(groups), outputs)
    assert copy.get_config() == layer.get_config()
    assert layer.compute_output_shape(groups.shape) == outputs.shape


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_mixed_precision(name, policy):
    layer = TRANSFORMS[name](dtype=policy)
    groups = normal(3, NUM_MUX, NUM_TOKENS, HIDDEN_DIM)
    outputs = layer(groups)
    assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    assert {w.dtype for w in layer.weights} == {"float32"}
    full = TRANSFORMS[name]()
    full.build(groups.shape)
    full.set_weights(layer.get_weights())
    outputs = ops.convert_to_numpy(ops.cast(outputs, "float32"))
    np.testing.assert_allclose(outputs, full(groups), atol=0.15)


@pytest.mark.parametrize("name", ["orthogonal", "holographic"])
def test_full_maps_are_orthogonal(name):
    matrices = ops.convert_to_numpy(TRANSFORMS[name]()(identity_groups()))[0]
    products = matrices @ matrices.transpose(0, 2, 1)
    expected = np.broadcast_to(np.eye(HIDDEN_DIM), products.shape)
    np.testing.assert_allclose(products, expected, atol=1e-5)
    assert np.abs(matrices[0] - matrices[1]).max() > 0.1


def test_low_rank_maps_are_scaled_isometries_into_orthogonal_subspaces():
    matrices = ops.convert_to_numpy(TRANSFORMS["low_rank"]()(identity_groups()))[0]
    rank = HIDDEN_DIM // NUM_MUX
    singular_values = np.linalg.svd(matrices, compute_uv=False)
    scale = np.sqrt(HIDDEN_DIM / rank)
    np.testing.assert_allclose(singular_values[:, :rank], scale, atol=1e-5)
    np.testing.assert_allclose(singular_values[:, rank:], 0, atol=1e-5)
    # Outputs are rows: no output of slot 0 has a part along one of slot 1.
    np.testing.assert_allclose(matrices[0] @ matrices[1].T, 0, atol=1e-5)


def test_holographic_binding_is_circular_convolution():
    layer = layers.HolographicBinding(1, seed=5)
    token = normal(1, 1, 1, 6)
    bound = ops.convert_to_numpy(layer(token))[0, 0, 0]
    phases = ops.convert_to_numpy(layer.phases)[0, 0]
    key = np.fft.irfft(np.exp(1j * phases), n=6)
    expected = [
        sum(key[(n - m) % 6] * token[0, 0, 0, m] for m in range(6)) for n in range(6)
    ]
    np.testing.assert_allclose(bound, expected, atol=1e-5)


@pytest.mark.parametrize("hidden_dim", [7, 8])
def test_unbinding_inverts_binding(hidden_dim):
    tokens = normal(2, 3, 4, hidden_dim)
    bound = layers.HolographicBinding(3, seed=2)(tokens)
    restored = layers.HolographicBinding(3, inverse=True, seed=2)(bound)
    np.testing.assert_allclose(restored, tokens, atol=1e-5)


def test_contextual_transform_sees_the_image_and_its_neighbours_only():
    layer = TRANSFORMS["contextual"]()
    groups = normal(2, NUM_MUX, NUM_TOKENS, HIDDEN_DIM)
    before = ops.convert_to_numpy(layer(groups))
    groups[0, 0, 0, :8] += 3
    changed = np.abs(ops.convert_to_numpy(layer(groups)) - before).max(axis=-1) > 1e-6
    assert changed[0].all()
    assert not changed[1].any()


def test_index_prefix_is_the_slots_token_at_its_position():
    layer = layers.IndexPrefix(3)
    groups = normal(2, 3, NUM_TOKENS, HIDDEN_DIM)
    outputs = ops.convert_to_numpy(layer(groups))
    index_tokens = ops.convert_to_numpy(layer.index_tokens)
    padding_token = ops.convert_to_numpy(layer.padding_token)[0]
    for slot in range(3):
        for position in range(3):
            expected = index_tokens[slot] if slot == position else padding_token
            np.testing.assert_array_equal(outputs[1, slot, position], expected)
    np.testing.assert_array_equal(outputs[:, :, 3:], groups)


def test_transformer_layer_config_and_shape():
    layer = layers.TransformerLayer(num_heads=2, mlp_dim=24)
    tokens = normal(3, NUM_TOKENS, HIDDEN_DIM)
    outputs = layer(tokens)
    copy = layers.TransformerLayer.from_config(layer.get_config())
    copy.build(tokens.shape)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(tokens), outputs)
    assert layer.compute_output_shape(tokens.shape) == outputs.shape


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: layers.HadamardTransform(0), "`num_mux` must be"),
        (lambda: layers.HadamardTransform(2, kind="none"), "`kind` must be one of"),
        (
            lambda: layers.HadamardTransform(2, kind="binary", overlap=1.5),
            "`overlap` must be from 0 to 1",
        ),
        (lambda: layers.HadamardTransform(2, overlap=0.5), "unless the Hadamard"),
        (
            lambda: layers.HadamardTransform(9, kind="binary").build((1, 9, 4, 8)),
            "needs a feature per slot",
        ),
        (
            lambda: layers.OrthogonalTransform(9, low_rank=True).build((1, 9, 4, 8)),
            "need a feature per slot",
        ),
        (lambda: layers.ContextualTransform(2, num_heads=0), "`num_heads` must be"),
        (
            lambda: layers.ContextualTransform(2, num_heads=3).build((1, 2, 4, 8)),
            "`num_heads` must divide",
        ),
        (lambda: layers.TransformerLayer(2, mlp_dim=0), "`mlp_dim` must be"),
        (lambda: layers.TransformerLayer(0), "`num_heads` must be"),
        (lambda: layers.IndexPrefix(0), "`num_mux` must be"),
        (lambda: layers.OrthogonalTransform(0), "`num_mux` must be"),
        (lambda: layers.HolographicBinding(0), "`num_mux` must be"),
        (lambda: layers.ContextualTransform(0), "`num_mux` must be"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
