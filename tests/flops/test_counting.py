import dataclasses

import keras
import pytest

import keras_concatplexer as kcp
from keras_concatplexer.flops import count
from tests.flops.closed_form import block_macs, formula, vit_cost

TINY = kcp.vit.ViTSize(
    hidden_dim=16, num_layers=3, num_heads=2, mlp_dim=64, patch_size=4
)


@pytest.fixture(scope="module")
def vit():
    return kcp.vit.keras_cv_vit(TINY, (16, 16, 3), 7)


def test_a_vit_equals_its_formula(vit):
    cost = count(vit)
    assert cost == formula(vit) == vit_cost(TINY, (16, 16, 3), 7)
    # 12 L D^2 + 2 L^2 D in each of 3 blocks, with L = 17, D = 16
    assert cost.stages["backbone"] == 3 * (12 * 17 * 16 * 16 + 2 * 17 * 17 * 16)


def test_vit_b16_has_the_published_cost():
    # 17.58 "GFLOPs" in the literature, which are multiply-accumulates.
    published = vit_cost("vit_b16", (224, 224, 3), 1000)
    assert published.gmacs_per_image == pytest.approx(17.56, rel=0.005)


@pytest.mark.parametrize(
    "options",
    [
        {"num_mux": 2},
        {"num_mux": 4, "patchifier_depth": 0, "attention_scope": "image"},
        {"num_mux": 2, "patchifier_depth": 3, "strides": 2, "kernel_size": 3},
        {"num_mux": 1},
        {"num_mux": 4, "reducer": "tome"},
        {"num_mux": 2, "reducer": "select"},
    ],
)
def test_a_concatplexer_equals_its_formula_in_every_stage(vit, options):
    model = kcp.ConcatPlexer(vit, **options)
    assert count(model) == count(model, batch_size=8) == formula(model)


@pytest.mark.parametrize(
    "options",
    [
        {"demultiplexer": "index", "patchifier_depth": 2},
        {"transform": "random_orthogonal", "demultiplexer": "mlp", "mlp_dim": 8},
        {"transform": "low_rank_orthogonal", "demultiplexer": "key", "mlp_dim": 8},
    ],
)
def test_an_image_multiplexer_equals_its_formula_in_every_stage(vit, options):
    model = kcp.ImageMultiplexerViT(vit, 2, **options)
    assert count(model) == formula(model)


def test_an_elastic_model_counts_at_each_n(vit):
    model = kcp.ElasticConcatPlexer(vit, num_mux=(2, 1))
    assert count(model) == count(model.at(2)) == formula(model.at(2))
    assert count(model.at(1)) == formula(model.at(1))


def test_block_1_is_not_block_10():
    deep = dataclasses.replace(TINY, num_layers=12)
    vit = kcp.vit.keras_cv_vit(deep, (16, 16, 3), 7)
    model = kcp.ConcatPlexer(vit, num_mux=2, patchifier_depth=2)
    cost = count(model)
    assert cost.stages["patchifier"] == 2 * block_macs(17, 16, 64)
    assert cost.stages["backbone"] == 10 * block_macs(18, 16, 64) // 2


def test_filler_costs(vit):
    model = kcp.ConcatPlexer(vit, num_mux=2)
    full, filled = count(model), count(model, batch_size=3)
    assert filled.stages["backbone"] == full.stages["backbone"] * 4 / 3
    assert filled.stages["patchifier"] == full.stages["patchifier"]


def test_counting_leaves_the_layers_as_they_were(vit):
    before = {layer.name: dict(vars(layer)) for layer in vit.layers}
    count(vit)
    assert {layer.name: dict(vars(layer)) for layer in vit.layers} == before


def test_layers_of_another_model_are_its_stages():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 6)),
            keras.layers.Conv2D(4, 3, padding="same", name="full"),
            keras.layers.Conv2D(6, 3, groups=2, strides=2, name="grouped"),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(10, name="dense"),
        ]
    )
    assert count(model).stages == {
        "full": 64 * 9 * 6 * 4,
        "grouped": 9 * 9 * 2 * 6,
        "dense": 9 * 6 * 10,
    }


def test_layers_whose_names_look_like_repeated_scopes():
    shared = keras.layers.Dense(4, name="dense")
    inputs = keras.Input((4,))
    hidden = shared(shared(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, name="dense_1")(hidden))
    assert count(model).stages == {"dense": 2 * 16, "dense_1": 12}


def test_attention_and_operations_outside_layers():
    inputs = keras.Input((5, 8))
    attention = keras.layers.MultiHeadAttention(2, key_dim=4, name="attention")
    hidden = attention(inputs, inputs)
    outputs = keras.ops.einsum("bld,bmd->blm", hidden, hidden)
    assert count(keras.Model(inputs, outputs)).stages == {
        "attention": 4 * 5 * 8 * 8 + 2 * 5 * 5 * 8,
        "model": 5 * 5 * 8,
    }


def test_a_model_without_products_costs_nothing():
    model = keras.Sequential([keras.Input((8,)), keras.layers.ReLU()])
    assert count(model).stages == {"model": 0}


def test_several_inputs_of_a_fixed_batch():
    left, right = keras.Input(batch_shape=(3, 4)), keras.Input(batch_shape=(3, 5))
    hidden = [keras.layers.Dense(2)(left), keras.layers.Dense(2)(right)]
    model = keras.Model([left, right], keras.layers.add(hidden))
    assert count(model).macs_per_image == 4 * 2 + 5 * 2
    with pytest.raises(ValueError, match="batches of \\[3\\] only"):
        count(model, batch_size=4)


def test_a_published_network_built_without_weights():
    cost = count(lambda: keras.applications.VGG16(weights=None))
    # He et al., arXiv 1512.03385, section 3.3: 15.3 billion multiply-adds.
    assert cost.gmacs_per_image == pytest.approx(15.3, rel=0.015)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.DepthwiseConv2D(3),
        keras.layers.Conv2DTranspose(5, 2),
        keras.layers.Reshape((8, 8, 6, 1)),
    ],
)
def test_other_convolutions_are_refused(layer):
    layers = [keras.Input((8, 8, 6)), layer]
    if isinstance(layer, keras.layers.Reshape):
        layers.append(keras.layers.Conv3D(2, 3))
    with pytest.raises(ValueError, match="Cannot tell what .* costs. Counted are"):
        count(keras.Sequential(layers))


def test_loops_with_products_are_refused():
    model = keras.Sequential([keras.Input((7, 3)), keras.layers.LSTM(4)])
    with pytest.raises(ValueError, match="number of rounds of the loop"):
        count(model)


def test_what_is_no_model():
    for wrong in ("vit", lambda: None):
        with pytest.raises(TypeError, match="must be a `keras.Model`"):
            count(wrong)


def test_inputs_must_be_known():
    with pytest.raises(ValueError, match="input shapes must be known"):
        count(keras.Sequential([keras.layers.Dense(4)]))
    model = keras.Sequential([keras.Input((None, 4)), keras.layers.Dense(4)])
    with pytest.raises(ValueError, match="Every dimension"):
        count(model)


def test_the_batch_size_is_checked(vit):
    with pytest.raises(ValueError, match="`batch_size`"):
        count(vit, batch_size=0)


def test_another_backend_is_refused(vit, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(NotImplementedError, match="TensorFlow and JAX backends"):
        count(vit)
