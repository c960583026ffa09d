import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from keras_concatplexer.models import by_num_mux
from savedmodel_export.fused import quantization, ranges
from savedmodel_export.fused.calibration import Range
from savedmodel_export.fused.quantization import fuse_in_int8


def wider(vit):
    size = kcp.vit.ViTSize(48, 2, 3, 64, 8)
    backbone = kcp.vit.keras_cv_vit(size, (16, 16, 3), 10)
    return kcp.ConcatPlexer(vit, num_mux=2, patchifier_depth=1, backbone=backbone)


MODELS = {
    "vit": lambda vit: vit,
    "image": lambda vit: kcp.ConcatPlexer(
        vit, num_mux=4, attention_scope="image", patchifier_depth=1
    ),
    "elastic": lambda vit: kcp.ElasticConcatPlexer(vit, num_mux=(1, 2)),
    "mixture": lambda vit: kcp.ImageMultiplexerViT(vit, num_mux=2, patchifier_depth=1),
    "wider": wider,
}
# Of one block: query, key, value and output, and the MLP.
BLOCK, WIDE_BLOCK = 4 * 32**2 + 2 * 32 * 64, 4 * 48**2 + 2 * 48 * 64


@pytest.fixture(scope="module")
def pictures():
    """Preprocessed images with coarse shapes, `(64, 16, 16, 3)`."""
    rng = np.random.default_rng(4)
    coarse = rng.normal(size=(64, 4, 4, 3)).repeat(4, 1).repeat(4, 2)
    return (coarse + 0.3 * rng.normal(size=(64, 16, 16, 3))).astype("float32")


@pytest.fixture
def vit(make_vit, scramble):
    return scramble(make_vit())


def answers(classifier, images):
    return tf.function(classifier, autograph=False)(tf.constant(images)).numpy()


def relative_error(answered, expected):
    return np.abs(answered - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize(
    "kind",
    ["elastic"]
    + [
        pytest.param(kind, marks=pytest.mark.large)
        for kind in MODELS
        if kind != "elastic"
    ],
)
def test_answers_nearly_as_the_model(kind, vit, pictures):
    models = by_num_mux(MODELS[kind](vit))
    classifiers, report = fuse_in_int8(models, pictures, min_agreement=0.0)
    assert set(report.products.values()) == {"int8"}
    assert (report.num_range_images, report.num_checked_images) == (48, 16)
    assert set(report.sensitivity) == set(report.products)
    for n, model in models.items():
        expected = np.asarray(model(pictures[:16]))
        assert relative_error(answers(classifiers[n], pictures[:16]), expected) < 0.1
    # One copy for all N, a byte for each weight of the blocks.
    bytes_of = {id(v): v for c in classifiers.values() for v in c.variables}.values()
    in_int8 = [v for v in bytes_of if v.dtype == tf.int8]
    expected = {"wider": BLOCK + 2 * WIDE_BLOCK}.get(kind, 2 * BLOCK)
    assert sum(v.shape.num_elements() for v in in_int8) == expected


def test_the_neighbours_in_a_batch_change_nothing(vit, pictures):
    model = MODELS["image"](vit)
    (classifier,) = fuse_in_int8({4: model}, pictures, 0.0)[0].values()
    alone = answers(classifier, np.repeat(pictures[:1], 8, axis=0))
    joined = answers(classifier, pictures[:8])
    np.testing.assert_array_equal(joined[0], alone[0])


def with_outliers(vit, channels, size):
    """The same function, computed through norms with a few large channels."""
    for parts in kcp.vit.read_stages(vit).block_parts:
        scales = np.ones(32, "float32")
        scales[channels] = size
        attention = parts.attention
        readers = {
            parts.norm1: [
                *(attention.query_dense, attention.key_dense, attention.value_dense)
            ],
            parts.norm2: [parts.mlp_in],
        }
        for norm, denses in readers.items():
            norm.gamma.assign(norm.gamma * scales)
            norm.beta.assign(norm.beta * scales)
            for dense in denses:
                shape = (-1,) + (1,) * (len(dense.kernel.shape) - 1)
                dense.kernel.assign(dense.kernel / scales.reshape(shape))
    return vit


def test_outlier_channels_keep_the_answers(vit, pictures, monkeypatch):
    more = np.concatenate([pictures + shift for shift in np.linspace(-0.3, 0.3, 4)])
    model = with_outliers(vit, [3, 17], 300.0)
    expected = np.asarray(model(more))
    (calibrated,) = fuse_in_int8({1: model}, pictures, 0.0)[0].values()
    monkeypatch.setattr(ranges, "STRENGTHS", (None,))
    monkeypatch.setattr(ranges, "SHARES", (1.0,))
    (by_maximum,) = fuse_in_int8({1: model}, pictures, 0.0)[0].values()

    def agreement(classifier):
        return (answers(classifier, more).argmax(-1) == expected.argmax(-1)).mean()

    assert agreement(calibrated) >= 0.98
    assert agreement(by_maximum) < 0.95


def test_what_spoils_the_answers_stays_in_bfloat16(vit, pictures, monkeypatch):
    def calibrate(classifiers, images):
        found = [
            {name: Range(4.0, 0.0) for name in block.products}
            for block in classifiers[0].blocks
        ]
        found[0]["mlp_out"] = Range(1e-3, 1.0)
        found[1]["attention_out"] = Range(0.0, 0.0)  # Never reached.
        return found

    # So that much depends on this product, and the images' classes differ.
    stages = kcp.vit.read_stages(vit)
    mlp_out, head = stages.block_parts[0].mlp_out, stages.head
    mlp_out.kernel.assign(20 * mlp_out.kernel)
    head.bias.assign(head.bias - np.mean(vit(pictures), 0))
    monkeypatch.setattr(quantization, "calibrate", calibrate)
    classifiers, report = fuse_in_int8({1: vit}, pictures, min_agreement=0.9)
    kept = {path for path, kind in report.products.items() if kind == "bfloat16"}
    assert {"block_0/mlp_out", "block_1/attention_out"} <= kept
    assert len(kept) <= 4
    assert report.agreement >= 0.9
    expected = np.asarray(vit(pictures))
    agreement = (
        answers(classifiers[1], pictures).argmax(-1) == expected.argmax(-1)
    ).mean()
    assert agreement >= 0.9


def test_an_agreement_out_of_reach_is_an_error(vit, pictures):
    with pytest.raises(ValueError, match="with every product in bfloat16"):
        fuse_in_int8({1: vit}, pictures, min_agreement=1.1)
