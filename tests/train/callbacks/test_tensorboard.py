import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

import keras_concatplexer as kcp
from train.callbacks.tensorboard import (
    GradientNorm,
    RunDescription,
    Throughput,
    confusion_image,
    group_grid,
    write_images,
)
from train.config import Config

NAMES = tuple("abc")


def read_events(folder):
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    return events


def texts(events, name):
    tensor = events.Tensors(name)[0].tensor_proto
    return tf.make_ndarray(tensor)[()].decode()


def test_description_of_a_run(make_vit, tmp_path):
    model = kcp.ConcatPlexer(make_vit(), num_mux=2)
    cost = kcp.flops.count(model)
    RunDescription(tmp_path, Config(seed=5), model, cost).on_train_begin()
    events = read_events(tmp_path)
    assert json.loads(texts(events, "config"))["seed"] == 5
    model_text = texts(events, "model")
    for stage in cost.stages:
        assert stage in model_text
    assert "ConcatMultiplexer" in model_text
    (gmacs,) = events.Tensors("gmacs_per_image")
    assert tf.make_ndarray(gmacs.tensor_proto) == pytest.approx(cost.gmacs_per_image)
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_images_of_an_evaluation(images, tmp_path):
    labels, predictions = np.arange(16) % 3, np.arange(16) % 2
    write_images(tmp_path, 3, NAMES, 2, images(16), labels, predictions)
    events = read_events(tmp_path)
    for name in ("groups", "confusion_matrix"):
        (event,) = events.Tensors(name)
        assert event.step == 3
        width, height, png = tf.make_ndarray(event.tensor_proto)
        assert tf.io.decode_png(png).shape == (int(height), int(width), 3)


def test_names_of_classes_are_no_formulas(images):
    names = ("$\\frac{a$", "$x_", "a\nb")
    grid = group_grid(images(3), [0, 1, 2], [1, 0, 2], names, 1)
    assert grid.shape[0] == 1
    assert confusion_image(np.eye(3, dtype=int), names).shape[-1] == 3


def test_groups_are_rows(images):
    gray = images(16, (8, 8, 1))
    labels = [0] * 16
    heights = {
        number: group_grid(gray[:number], labels, labels, NAMES, 2).shape[1]
        for number in (1, 2, 4)
    }
    assert heights[1] == heights[2] == heights[4] // 2


def test_the_diagonal_of_a_confusion_matrix_is_dark():
    right = confusion_image(np.eye(3, dtype=int) * 9, NAMES)
    wrong = confusion_image(np.eye(3, dtype=int)[::-1] * 9, NAMES)
    assert right.shape == wrong.shape and right.dtype == np.uint8
    assert np.any(right != wrong)


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
