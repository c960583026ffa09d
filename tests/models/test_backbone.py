"""A second ViT behind the multiplexer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from tests.flops.closed_form import formula


@pytest.fixture
def wide_vit():
    size = kcp.vit.ViTSize(24, 3, 2, 40, 8)
    return kcp.vit.keras_cv_vit(size, (16, 16, 3), 7)


@pytest.mark.parametrize(
    "scope", ["group", pytest.param("image", marks=pytest.mark.large)]
)
def test_a_wider_backbone(tiny_vit, wide_vit, images, scramble, tmp_path, scope):
    options = {"patchifier_depth": 1, "attention_scope": scope}
    model = kcp.ConcatPlexer(tiny_vit, 2, backbone=wide_vit, **options)
    scramble(model)
    logits = np.asarray(model(images(5)))
    assert logits.shape == (5, 7)
    assert model.get_layer("demultiplexer").output.shape == (None, 9, 24)
    assert model.features.output_shape == (None, 24)
    # By hand, with the layers of both.
    front, behind = tiny_vit.read(), wide_vit.read()
    tokens = front.blocks[0](front.embedding(images(4)))
    tokens = model.get_layer("multiplexer")(tokens)
    for block in behind.blocks:
        tokens = block(tokens)
    tokens = tokens.numpy().reshape(4, 9, 24)
    np.testing.assert_allclose(
        behind.head(behind.norm(tokens[:, 0])), logits[:4], atol=1e-4
    )
    assert kcp.flops.count(model) == formula(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images(5)), logits)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images(4), training=True) ** 2)
    weights = [weight.value for weight in model.trainable_variables]
    assert all(gradient is not None for gradient in tape.gradient(loss, weights))
    unused = {id(w) for w in tiny_vit.get_layer("block_1").weights}
    unused |= {id(w) for w in wide_vit.get_layer("embedding").weights}
    assert not unused & {id(weight) for weight in model.weights}


def test_a_backbone_of_the_same_width_needs_no_projection(tiny_vit, images):
    other = kcp.vit.with_classes(tiny_vit, 3)
    for reducer in ("conv", "mean", "tome", "select"):
        model = kcp.ConcatPlexer(tiny_vit, 2, reducer=reducer, backbone=other)
        assert model.get_layer("multiplexer").prefix_projection is None
        assert model(images(3)).shape == (3, 3)


@pytest.mark.large
def test_an_elastic_model_shares_its_backbone(tiny_vit, wide_vit, images, tmp_path):
    model = kcp.ElasticConcatPlexer(tiny_vit, (1, 2), backbone=wide_vit)
    assert model(images(6), training=True).shape == (6, 7)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for n in (1, 2):
        np.testing.assert_array_equal(loaded.at(n)(images(3)), model.at(n)(images(3)))


def test_backbones_that_do_not_fit(tiny_vit, wide_vit):
    with pytest.raises(ValueError, match="`backbone` must be a second ViT"):
        kcp.ConcatPlexer(tiny_vit, 2, backbone=tiny_vit)
    with pytest.raises(ValueError, match="`backbone` must be a ViT classifier"):
        kcp.ConcatPlexer(tiny_vit, 2, backbone="vit_nano4")
    with pytest.raises(ValueError, match="Only the reducer 'conv' maps to another"):
        kcp.ConcatPlexer(tiny_vit, 2, reducer="mean", backbone=wide_vit)
    with pytest.raises(ValueError, match="`backbone` is multiplexed already"):
        model = kcp.ConcatPlexer(wide_vit, 2)
        kcp.ConcatPlexer(tiny_vit, 2, backbone=model)
