import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from train.config import Config
from train.optimizer import learning_rate_schedule, make_optimizer, without_decay


def test_warmup_and_cosine():
    config = Config(epochs=10, warmup_epochs=2.0, learning_rate=0.1)
    schedule = learning_rate_schedule(config, steps_per_epoch=5)
    rates = [float(schedule(step)) for step in range(51)]
    np.testing.assert_allclose(rates[:11], np.linspace(0, 0.1, 11), atol=1e-7)
    assert rates[30] == pytest.approx(0.05, rel=1e-3)
    assert rates[50] == pytest.approx(0, abs=1e-7)
    assert np.all(np.diff(rates[10:]) < 0)


def test_no_warmup_starts_at_the_peak():
    config = Config(epochs=10, warmup_epochs=0.0, learning_rate=0.1)
    assert float(learning_rate_schedule(config, 5)(0)) == pytest.approx(0.1)


def test_matrices_alone_decay(make_vit):
    model = kcp.ConcatPlexer(make_vit(), num_mux=2)
    free = {weight.path for weight in without_decay(model)}
    decayed = {weight.path for weight in model.trainable_variables} - free
    assert all(path.endswith("/kernel") for path in decayed)
    assert {"embedding/class_token", "multiplexer/slot_embedding/embedding"} <= free
    assert any(path.endswith("query/bias") for path in free)


def test_settings_reach_the_optimizer(make_vit):
    model = make_vit()
    config = Config(clip_norm=1.0, ema=0.9, gradient_accumulation=4, weight_decay=0.3)
    optimizer = make_optimizer(config, 5, model)
    assert optimizer.global_clipnorm == 1.0
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.9)
    assert optimizer.gradient_accumulation_steps == 4
    assert optimizer.weight_decay == 0.3
    plain = make_optimizer(Config(), 5, model)
    assert plain.global_clipnorm is None
    assert plain.use_ema is False
    assert plain.gradient_accumulation_steps is None


def moved_by_one_step(strategy, parts):
    """Where one clipped step moves a weight; each replica has one gradient."""
    with strategy.scope():
        weight = keras.Variable([0.0, 0.0])
        config = Config(clip_norm=1e-7, warmup_epochs=0.0, weight_decay=0.0)
        optimizer = make_optimizer(config, 1, keras.Sequential([]))
        optimizer.build([weight])
    gradients = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(parts[context.replica_id_in_sync_group])
    )

    @tf.function
    def step():
        strategy.run(lambda part: optimizer.apply([part], [weight]), [gradients])

    step()
    return keras.ops.convert_to_numpy(weight)


def test_clipping_means_the_same_on_two_replicas(two_replicas):
    # The parts of the batch pull in turn; what counts is the norm of their sum.
    parts = np.array([[30.0, 40.0], [30.0, -40.0]], "float32")
    one = moved_by_one_step(tf.distribute.get_strategy(), parts.sum(0, keepdims=True))
    two = moved_by_one_step(two_replicas, parts)
    np.testing.assert_allclose(two, one, rtol=1e-5)
    # So small a gradient meets AdamW's epsilon: the step shows the clipped norm.
    expected = -1e-3 * 1e-7 / (1e-7 + 1e-7 / np.sqrt(1 - 0.999))
    np.testing.assert_allclose(one, [expected, 0], rtol=1e-2, atol=1e-9)
