import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from savedmodel_export.fused.classifier import CannotFuse, FusedClassifier
from tests.flops.closed_form import block_macs

TINY = kcp.vit.ViTSize(
    hidden_dim=32, num_layers=3, num_heads=2, mlp_dim=64, patch_size=4
)


def hub_vit(make_vit):
    return kcp.vit.keras_hub_vit(TINY, 10, image_shape=(16, 16, 3))


def deit(make_vit):
    import keras_hub

    backbone = keras_hub.models.DeiTBackbone(
        image_shape=(16, 16, 3),
        patch_size=(4, 4),
        num_layers=3,
        num_heads=2,
        hidden_dim=32,
        intermediate_dim=64,
        dropout_rate=0.1,
    )
    return kcp.vit.keras_hub_vit(backbone, 10)


def concat(**kwargs):
    return lambda make_vit: kcp.ConcatPlexer(make_vit(), **{"num_mux": 2, **kwargs})


def wider(make_vit):
    size = kcp.vit.ViTSize(48, 2, 3, 64, 8)
    backbone = kcp.vit.keras_cv_vit(size, (16, 16, 3), 10, name="wide")
    return kcp.ConcatPlexer(make_vit(), num_mux=2, backbone=backbone)


def mixture(**kwargs):
    return lambda make_vit: kcp.ImageMultiplexerViT(
        make_vit(), **{"num_mux": 2, "patchifier_depth": 1, **kwargs}
    )


# One for each part of a fused graph; the others join the same parts otherwise.
QUICK = {"group", "image", "keras-hub vit", "wider backbone", "tome", "mixture, unbind"}
MODELS = {
    "vit": lambda make_vit: make_vit(),
    "keras-hub vit": hub_vit,
    "keras-hub deit": deit,
    "deit in group": lambda make_vit: kcp.ConcatPlexer(deit(make_vit), num_mux=2),
    "group": concat(),
    "image": concat(attention_scope="image"),
    "four": concat(num_mux=4, patchifier_depth=1, own_norm=True),
    "from the first block": concat(patchifier_depth=0),
    "after the last block": concat(patchifier_depth=2),
    "uneven strides": concat(strides=(3, 2), kernel_size=(3, 3)),
    "one image": concat(num_mux=1),
    "wider backbone": wider,
    "mean": concat(reducer="mean"),
    "tome": concat(num_mux=4, reducer="tome"),
    "mixture, index": mixture(),
    "mixture, key": mixture(demultiplexer="key", patchifier_depth=0),
    "mixture, mlp": mixture(demultiplexer="mlp", patchifier_depth=2),
    "mixture, unbind": mixture(demultiplexer="unbind", transform="holographic"),
}


def fused_function(model, precision):
    module = FusedClassifier(model, precision)
    spec = tf.TensorSpec((None, 16, 16, 3))
    return module, tf.function(module).get_concrete_function(spec)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else [pytest.mark.large])
        for name in MODELS
    ],
)
def test_answers_as_the_live_model(name, make_vit, images, scramble):
    model = scramble(MODELS[name](make_vit))
    _, predict = fused_function(model, "float32")
    for batch_size in (1, 2, 5, 8):
        expected = np.asarray(model(images(batch_size)))
        answered = predict(tf.constant(images(batch_size))).numpy()
        scale = np.abs(expected).max()
        np.testing.assert_allclose(answered, expected, atol=1e-4 * scale)


@pytest.mark.parametrize(
    "name",
    ["group"]
    + [
        pytest.param(name, marks=pytest.mark.large)
        for name in ("vit", "four", "mixture, index", "tome")
    ],
)
def test_half_precision_is_near(name, make_vit, images, scramble):
    model = scramble(MODELS[name](make_vit))
    _, predict = fused_function(model, "bfloat16")
    expected = np.asarray(model(images(8)))
    answered = predict(tf.constant(images(8)))
    assert answered.dtype == tf.float32
    assert np.abs(answered - expected).max() < 0.1 * np.abs(expected).max()


def test_weights_are_held_once_in_the_target_precision(make_vit):
    model = kcp.ConcatPlexer(make_vit(), num_mux=2)
    halved, _ = fused_function(model, "bfloat16")
    whole, _ = fused_function(model, "float32")
    # The class token and its position are added up; a value bias stays.
    assert sum(v.shape.num_elements() for v in whole.variables) == pytest.approx(
        model.count_params(), rel=0.01
    )
    size = sum(v.shape.num_elements() * v.dtype.size for v in halved.variables)
    assert size < 0.55 * sum(v.shape.num_elements() * 4 for v in whole.variables)


def test_the_graph_shows_the_stages_and_no_einsum(make_vit):
    model = kcp.ConcatPlexer(make_vit(), num_mux=2)
    _, predict = fused_function(model, "float32")
    names = {op.name.split("/")[0] for op in predict.graph.get_operations()}
    stages = {"patchifier", "multiplexer", "backbone", "demultiplexer", "head"}
    assert stages <= names
    types = {op.type for op in predict.graph.get_operations()}
    assert not types & {"Einsum", "XlaCallModule", "PyFunc", "EagerPyFunc"}
    in_block_0 = [
        op
        for op in predict.graph.get_operations()
        if op.name.startswith("patchifier/block_0/") and op.type == "MatMul"
    ]
    # Query, key and value are one product; attention's output; two of the MLP.
    assert len(in_block_0) == 4


def test_the_last_block_runs_on_what_is_read(make_vit, images):
    model = kcp.ConcatPlexer(make_vit(), num_mux=2)
    module, _ = fused_function(model, "float32")
    tokens = module.embedding(tf.constant(images(2)))
    last = module.blocks[-1]
    assert last(tokens, 17).shape == (2, 32)


@pytest.mark.parametrize(
    "name",
    ["group", "image"]
    + [pytest.param(name, marks=pytest.mark.large) for name in ("vit", "four")],
)
def test_only_the_last_block_is_cheaper_than_trained(name, make_vit):
    model = MODELS[name](make_vit)
    executed = kcp.flops.count_function(FusedClassifier(model), (16, 16, 3), 8)
    trained = kcp.flops.count(model, 8)
    # Tokens of an image, and of its sequence, in the last block; width 32.
    own, sequence = {
        "vit": (17, 17),
        "group": (9, 18),
        "image": (9, 9),
        "four": (5, 20),
    }[name]
    whole = block_macs(sequence, 32, 64) * own // sequence
    # Keys and values of all; the rest for one token.
    read = 2 * own * 32**2 + (2 * 32**2 + 2 * 32 * 64) + 2 * sequence * 32
    assert executed.macs_per_image == trained.macs_per_image - whole + read


def test_what_cannot_be_fused_is_named(make_vit):
    import keras

    with pytest.raises(CannotFuse, match="multiplexer/reduction reads attention"):
        FusedClassifier(kcp.ConcatPlexer(make_vit(), 2, reducer="select"))
    proportional = concat(reducer="tome", proportional_attention=True)(make_vit)
    with pytest.raises(CannotFuse, match="multiplexer have proportional attention"):
        FusedClassifier(proportional)
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="mlp")
    with pytest.raises(CannotFuse, match="mlp cannot be read as a ViT of known"):
        FusedClassifier(other)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_a_quantized_model_is_not_fused():
    size = kcp.vit.ViTSize(8, 1, 2, 8, 8)
    vit = kcp.vit.keras_cv_vit(size, (16, 16, 3), 2)
    vit.quantize("int8")
    with pytest.raises(CannotFuse, match=r"is quantized \(int8\)"):
        FusedClassifier(vit)
