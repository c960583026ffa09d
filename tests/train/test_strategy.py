import json

import pytest
import tensorflow as tf

from train.config import Config
from train.strategy import (
    check_batch_size,
    check_one_device,
    check_same_progress,
    is_chief,
    make_strategy,
)


@pytest.mark.parametrize(
    "settings, num_replicas",
    [
        ({}, 1),
        ({"strategy": "one_device", "logical_cpus": 2}, 1),
        ({"strategy": "mirrored", "logical_cpus": 2}, 2),
        ({"logical_cpus": 2}, 2),
    ],
)
def test_strategies(settings, num_replicas):
    strategy = make_strategy(Config(**settings))
    assert strategy.num_replicas_in_sync == num_replicas
    assert isinstance(strategy, tf.distribute.MirroredStrategy) == (num_replicas > 1)
    assert is_chief(strategy)
    check_same_progress(strategy, 1)


def test_one_worker_is_not_several(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1"]}}))
    assert make_strategy(Config()) is tf.distribute.get_strategy()


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_tf_config_that_cannot_be_read(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG is no JSON object.*Expected"):
        make_strategy(Config())


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"strategy": "multi_worker"}, "TF_CONFIG"),
        ({"logical_cpus": 3}, "runs already, with 2 of them"),
    ],
)
def test_devices_that_are_not_there(settings, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    tf.config.list_logical_devices()
    with pytest.raises(ValueError, match=message):
        make_strategy(Config(**settings))


def test_a_tpu_that_is_not_there(monkeypatch):
    def not_found(tpu):
        raise OSError(f"no host {tpu}")

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", not_found)
    with pytest.raises(ValueError, match="'mine' cannot be reached: no host mine"):
        make_strategy(Config(tpu="mine"))


@pytest.mark.parametrize(
    "batch_size, num_replicas, num_mux, nearest",
    [(66, 2, 2, "64 or 68"), (3, 1, 4, "4"), (65, 1, 2, "64 or 66")],
)
def test_batches_that_do_not_divide(batch_size, num_replicas, num_mux, nearest):
    with pytest.raises(ValueError, match=f"The nearest: {nearest}\\."):
        check_batch_size(batch_size, num_replicas, num_mux)
    check_batch_size(num_replicas * num_mux * 3, num_replicas, num_mux)


@pytest.mark.parametrize("name", ["steps_per_execution", "gradient_accumulation"])
def test_what_works_on_one_device_only(name, two_replicas):
    config = Config(**{name: 2})
    check_one_device(config, tf.distribute.get_strategy())
    with pytest.raises(ValueError, match=f"--{name} works on one device only"):
        check_one_device(config, two_replicas)
