import keras
import numpy as np
import pytest
import tensorflow as tf

from train.callbacks.measures import GradientNorm, Profile, Throughput


def test_gradient_norm(images):
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    labels = np.eye(2, dtype="float32")[[0, 1, 1, 0]]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    logs = {}
    GradientNorm(model, loss, images(4), labels).on_epoch_end(0, logs)
    flat = images(4).reshape(4, -1)
    difference = (tf.nn.softmax(model(images(4))).numpy() - labels) / 4
    parts = (flat.T @ difference, difference.sum(0))
    expected = np.sqrt(sum(np.sum(part**2) for part in parts))
    assert logs["gradient_norm"] == pytest.approx(expected, rel=1e-4)


def test_throughput_counts_training_steps_alone(monkeypatch):
    times = iter([10.0, 11.0, 12.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    throughput, logs = Throughput(batch_size=8), {}
    throughput.on_epoch_begin(0)
    throughput.on_train_batch_end(0)
    throughput.on_train_batch_end(1)
    throughput.on_epoch_end(0, logs)
    assert logs == {"images_per_second": 8.0}


def test_the_steps_between_start_and_stop_are_traced(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(tf.profiler.experimental, "start", calls.append)
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: calls.append("stop"))
    profile = Profile(tmp_path, 3, 4)
    for epoch in range(3):
        profile.on_epoch_begin(epoch)
        for batch in range(2):
            calls.append(epoch * 2 + batch + 1)
            profile.on_train_batch_begin(batch)
            profile.on_train_batch_end(batch)
    profile.on_train_end()
    assert calls == [1, 2, 3, str(tmp_path), 4, "stop", 5, 6]
