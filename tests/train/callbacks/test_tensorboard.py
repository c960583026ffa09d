import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

import keras_concatplexer as kcp
from train.callbacks.tensorboard import TensorBoard, tag_of, write_images, write_scores
from train.config import Config

NAMES = tuple("abc")


def read_events(folder):
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    return events


def scalars(folder):
    """dict, tag -> list of (step, value), of all scalars in a folder's events."""
    events = read_events(folder)
    found = {
        tag: [(e.step, tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
        for tag, metadata in events.summary_metadata.items()
        if metadata.plugin_data.plugin_name == "scalars"
    }
    assert all(found.values()), "a tag without data"
    return {tag: [(s, float(v)) for s, v in values] for tag, values in found.items()}


@pytest.mark.parametrize(
    "name, tag",
    [
        ("loss", "loss/train"),
        ("val_loss", "loss/validation"),
        ("val_loss_n2", "loss/validation_n2"),
        ("top5_accuracy", "accuracy/top5_train"),
        ("slot_accuracy_0", "slots/train_slot0"),
        ("val_slot_accuracy_1_n4", "slots/validation_n4_slot1"),
        ("val_cosine_n2", "cosine/validation_n2"),
        ("images_per_second", "speed/images_per_second"),
        ("gradient_norm", "optimizer/gradient_norm"),
        ("retrieval_loss", "other/retrieval_loss"),
    ],
)
def test_tags_stand_in_groups(name, tag):
    assert tag_of(name) == tag


def test_a_run_is_described_and_followed(same_vit, tmp_path):
    model = kcp.ConcatPlexer(same_vit, num_mux=2)
    model.compile("sgd", "mse")
    cost = kcp.flops.count(model)
    board = TensorBoard(tmp_path, "first", Config(seed=5), model, cost)
    board.set_model(model)
    board.on_train_begin()
    board.on_epoch_end(0, {"loss": 2.0, "val_accuracy": 0.5})
    board.on_epoch_end(1, {"loss": 1.0, "val_accuracy": 0.75})
    board.on_train_end()
    found = scalars(tmp_path)
    assert found["loss/train"] == [(1, 2.0), (2, 1.0)]
    assert found["accuracy/validation"] == [(1, 0.5), (2, 0.75)]
    assert found["optimizer/learning_rate"][0][1] == pytest.approx(0.01)
    gmacs = found["speed/gmacs_per_image"]
    assert gmacs == [(0, pytest.approx(cost.gmacs_per_image))]
    plugins = {
        metadata.plugin_data.plugin_name
        for metadata in read_events(tmp_path).summary_metadata.values()
    }
    assert plugins == {"scalars", "text", "hparams", "custom_scalars"}


def test_the_scores_of_a_test_split(tmp_path):
    write_scores(tmp_path, 7, {1: {"accuracy": 0.5}, 4: {"accuracy": 0.25}})
    assert scalars(tmp_path) == {
        "accuracy/test": [(7, 0.5)],
        "accuracy/test_n1": [(7, 0.5)],
        "accuracy/test_n4": [(7, 0.25)],
    }


def test_images_of_an_evaluation(images, tmp_path):
    labels, predictions = np.arange(16) % 3, np.arange(16) % 2
    write_images(tmp_path, 3, NAMES, 2, images(16), labels, predictions)
    events = read_events(tmp_path)
    for name in ("test/groups", "test/confusion"):
        (event,) = events.Tensors(name)
        assert event.step == 3
        width, height, png = tf.make_ndarray(event.tensor_proto)
        assert tf.io.decode_png(png).shape == (int(height), int(width), 3)
        # A card of TensorBoard has a height, to which a tall image would shrink.
        assert int(width) > 1.2 * int(height)
