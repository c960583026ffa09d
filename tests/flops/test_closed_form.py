import keras
import pytest

import keras_concatplexer as kcp
from keras_concatplexer.flops import (
    block_macs,
    concat_cost,
    formula,
    image_multiplexer_cost,
    vit_cost,
)

TINY = kcp.vit.ViTSize(
    hidden_dim=16, num_layers=3, num_heads=2, mlp_dim=64, patch_size=4
)
IMAGES = (16, 16, 3)
BIG = ("vit_b16", (224, 224, 3), 1000)


def test_a_block_by_hand():
    # 12 L D^2 + 2 L^2 D with L = 5, D = 16
    assert block_macs(5, 16, 64) == 12 * 5 * 16 * 16 + 2 * 5 * 5 * 16


def test_a_vit_by_hand():
    cost = vit_cost(TINY, IMAGES, num_classes=7)
    assert cost.stages == {
        "embedding": 16 * (4 * 4 * 3) * 16,
        "patchifier": 0,
        "multiplexer": 0,
        "backbone": 3 * block_macs(17, 16, 64),
        "demultiplexer": 0,
        "head": 16 * 7,
    }


def test_a_concatplexer_by_hand():
    cost = concat_cost(TINY, IMAGES, 7, num_mux=2, patchifier_depth=1)
    assert cost.stages == {
        "embedding": 16 * (4 * 4 * 3) * 16,
        "patchifier": block_macs(17, 16, 64),
        # 4 x 2 tokens, a window of 2 x 2, D x D
        "multiplexer": 8 * 4 * 16 * 16,
        "backbone": 2 * block_macs(2 * 9, 16, 64) // 2,
        "demultiplexer": 0,
        "head": 16 * 7,
    }


def test_image_scope_attends_within_each_image():
    cost = concat_cost(
        TINY, IMAGES, 7, num_mux=2, patchifier_depth=1, attention_scope="image"
    )
    assert cost.stages["backbone"] == 2 * block_macs(9, 16, 64)


def test_the_mean_has_no_products():
    cost = concat_cost(TINY, IMAGES, 7, num_mux=2, reducer="mean")
    assert cost.stages["multiplexer"] == 0


def test_an_image_multiplexer_by_hand():
    cost = image_multiplexer_cost(TINY, IMAGES, 7, num_mux=2, patchifier_depth=1)
    assert cost.stages == {
        "embedding": 16 * (4 * 4 * 3) * 16,
        "patchifier": block_macs(17, 16, 64),
        "multiplexer": 0,
        # One sequence, two index tokens longer, for two images.
        "backbone": 2 * block_macs(19, 16, 64) // 2,
        # First layer on the tokens shared, on the slot's token, second layer.
        "demultiplexer": 17 * 16 * 16 // 2 + 16 * 16 + 17 * 16 * 16,
        "head": 16 * 7,
    }


@pytest.mark.parametrize(
    "transform, macs",
    [
        ("binary_hadamard", 0),
        ("random_orthogonal", 17 * 16 * 16),
        ("low_rank_orthogonal", 17 * 2 * 16 * 8),
    ],
)
def test_what_a_transform_costs(transform, macs):
    cost = image_multiplexer_cost(
        TINY, IMAGES, 7, 2, transform=transform, demultiplexer="mlp"
    )
    assert cost.stages["multiplexer"] == macs


@pytest.mark.parametrize(
    "demultiplexer, macs",
    [("key", 17 * 16 * 8 // 2 + 17 * 8 * 16), ("mlp", 2 * 17 * 16 * 8)],
)
def test_what_a_demultiplexer_costs(demultiplexer, macs):
    cost = image_multiplexer_cost(
        TINY, IMAGES, 7, 2, demultiplexer=demultiplexer, mlp_dim=8
    )
    assert cost.stages["demultiplexer"] == macs


def test_vit_b16_has_the_known_cost():
    assert vit_cost(*BIG).gmacs_per_image == pytest.approx(17.56, rel=0.005)


def test_the_headline_saving():
    cost = concat_cost(*BIG, num_mux=2, patchifier_depth=6)
    assert 0.232 <= cost.saving(vit_cost(*BIG)) <= 0.238


@pytest.mark.parametrize(
    "options",
    [
        {"num_mux": 2},
        {"num_mux": 4, "patchifier_depth": 0},
        {"num_mux": 2, "attention_scope": "image"},
        {"num_mux": 2, "strides": 2, "kernel_size": 3},
        {"num_mux": 1},
        {"num_mux": 4, "reducer": "tome"},
        {"num_mux": 2, "reducer": "select"},
    ],
)
def test_the_formula_of_a_model_is_that_of_its_sizes(options):
    vit = kcp.vit.keras_cv_vit(TINY, IMAGES, 7)
    assert formula(vit) == vit_cost(TINY, IMAGES, 7)
    model = kcp.ConcatPlexer(vit, **options)
    assert formula(model) == concat_cost(TINY, IMAGES, 7, **options)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"size": "vit_x"}, "Unknown `size`"),
        ({"image_shape": (18, 16, 3)}, "must divide the image"),
        ({"num_classes": 0}, "`num_classes`"),
        ({"num_mux": 0}, "`num_mux`"),
        ({"num_mux": 3}, "power of two"),
        ({"patchifier_depth": 4}, "`patchifier_depth`"),
        ({"reducer": "pool"}, "`reducer` must be one of"),
        ({"attention_scope": "row"}, "`attention_scope`"),
    ],
)
def test_wrong_arguments(wrong, message):
    sizes = {"size": TINY, "image_shape": IMAGES, "num_classes": 7, "num_mux": 2}
    with pytest.raises(ValueError, match=message):
        concat_cost(**{**sizes, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [{"transform": "contextual"}, {"demultiplexer": "unbind"}, {"num_mux": 0}],
)
def test_what_an_image_multiplexer_has_no_formula_for(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
        image_multiplexer_cost(TINY, IMAGES, 7, **{"num_mux": 2, **wrong})


def test_a_model_without_a_formula():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    with pytest.raises(ValueError, match="use `count`"):
        formula(model)
