"""The fused graphs of DINOv2, CLIP and SigLIP, with features for an answer."""

import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from savedmodel_export.fused.classifier import FusedClassifier
from savedmodel_export.fused.quantization import fuse_in_int8
from tests.vit.hub import SQUARE, make_images, make_trained

KINDS = ("dinov2", "dinov2_registers", "clip", "siglip")


@pytest.fixture(scope="module", params=KINDS)
def vit(request):
    return kcp.vit.keras_hub_vit(make_trained(request.param), num_classes=None)


def models(vit):
    yield vit
    yield kcp.ConcatPlexer(vit, 2, attention_scope="image", own_norm=True)
    group = kcp.ConcatPlexer(vit, num_mux=2)
    slots = group.get_layer("multiplexer").slot_embedding.embedding
    slots.assign(slots + np.random.default_rng(1).normal(size=slots.shape))
    yield group
    yield kcp.ConcatPlexer(vit, 2, patchifier_depth=2)
    yield kcp.ImageMultiplexerViT(vit, num_mux=2)


def test_float32_is_the_live_model(vit):
    images = make_images(5, SQUARE)
    for model in models(vit):
        fused = tf.function(FusedClassifier(model).outputs, autograph=False)
        outputs = fused(tf.constant(images))
        assert set(outputs) == {"features"}
        expected = np.asarray(model(images))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(outputs["features"], expected, atol=1e-4 * scale)


def test_bfloat16_is_near(vit):
    images = make_images(6, SQUARE)
    for model in (vit, kcp.ConcatPlexer(vit, num_mux=2)):
        answered = FusedClassifier(model, "bfloat16")(tf.constant(images))
        assert answered.dtype == tf.float32
        assert cosines(answered, model(images)).min() > 0.98


def test_int8_keeps_the_direction(vit):
    images = make_images(40, SQUARE)
    model = kcp.ConcatPlexer(vit, num_mux=2)
    fused, report = fuse_in_int8({2: model}, images, min_agreement=0.97)
    assert report.agreement_of == "cosine of features"
    assert 0.97 <= report.agreement <= 1
    assert "int8" in report.products.values()
    answered = tf.function(fused[2], autograph=False)(tf.constant(images))
    assert cosines(answered, model(images)).mean() > 0.97


def test_normalised_features_and_those_of_a_classifier(vit):
    images = make_images(4, SQUARE)
    unit = kcp.vit.keras_hub_vit(vit.backbone, num_classes=None, normalize=True)
    expected = np.asarray(vit(images))
    lengths = np.linalg.norm(expected, axis=-1, keepdims=True)
    for answered in (unit(images), FusedClassifier(unit)(tf.constant(images))):
        np.testing.assert_allclose(answered, expected / lengths, atol=1e-4)
    classifier = kcp.vit.keras_hub_vit(vit.backbone, num_classes=3)
    outputs = FusedClassifier(classifier).outputs(tf.constant(images))
    np.testing.assert_allclose(outputs["features"], expected, atol=1e-4)
    np.testing.assert_allclose(outputs["logits"], classifier(images), atol=1e-4)


def test_several_n_share_the_pooling():
    vit = kcp.vit.keras_hub_vit(make_trained("siglip"), num_classes=None)
    model = kcp.ElasticConcatPlexer(vit, num_mux=(1, 2), own_norm=True)
    first = FusedClassifier(model.at(1))
    second = FusedClassifier(model.at(2), shares_with=first)
    assert second.pooling is first.pooling
    images = make_images(3, SQUARE)
    np.testing.assert_allclose(second(images), model.at(2)(images), atol=1e-4)


def cosines(answered, expected):
    answered, expected = np.asarray(answered), np.asarray(expected)
    lengths = np.linalg.norm(answered, axis=-1) * np.linalg.norm(expected, axis=-1)
    return (answered * expected).sum(-1) / lengths
