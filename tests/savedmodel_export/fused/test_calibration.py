import numpy as np
import pytest
import tensorflow as tf

from savedmodel_export.fused.calibration import calibrate
from savedmodel_export.fused.classifier import FusedClassifier


@pytest.fixture
def classifier(make_vit, scramble):
    return FusedClassifier(scramble(make_vit()))


def test_scales_change_weights_and_no_answers(classifier, images):
    for block in classifier.blocks:
        block.norm1.gamma.assign(block.norm1.gamma * np.linspace(1, 50, 32))
    inputs = tf.constant(images(16))
    before = classifier(inputs).numpy()
    gammas = [block.norm1.gamma.numpy() for block in classifier.blocks]
    ranges = calibrate([classifier], images(16))
    np.testing.assert_allclose(
        classifier(inputs), before, atol=1e-4 * np.abs(before).max()
    )
    assert any(
        not np.allclose(block.norm1.gamma, gamma)
        for block, gamma in zip(classifier.blocks, gammas, strict=True)
    )
    first, last = ranges
    assert list(first) == ["qkv", "attention_out", "mlp_in", "mlp_out"]
    assert list(last) == ["query", "key_value", "attention_out", "mlp_in", "mlp_out"]
    assert last["query"] == last["key_value"]  # One norm gives the inputs of both.
    for found in (*first.values(), *last.values()):
        assert found.maximum > 0
        assert 0 < found.error < 1e-2


def test_what_is_never_reached_has_no_range(classifier, images):
    for variable in classifier.blocks[0].norm2.variables:
        variable.assign(tf.zeros_like(variable))
    assert calibrate([classifier], images(16))[0]["mlp_in"].maximum == 0


def test_activations_that_are_not_finite_are_named(classifier, images):
    classifier.blocks[1].norm2.beta.assign(tf.fill((32,), np.nan))
    with pytest.raises(ValueError, match="inputs of the product mlp_in are not finite"):
        calibrate([classifier], images(16))
