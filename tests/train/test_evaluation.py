import dataclasses
import json

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from train.data import load_data
from train.trainer import Run


@pytest.fixture(scope="module")
def elastic(tiny_config, tmp_path_factory):
    """The config, workdir and results of an elastic run with all its options."""
    workdir = tmp_path_factory.mktemp("elastic")
    config = dataclasses.replace(
        tiny_config,
        num_mux=(1, 2),
        num_mux_weights=(0.75, 0.25),
        own_norm=True,
        in_place_weight=0.5,
        in_place_temperature=3.0,
        epochs=2,
    )
    return config, workdir, Run(config, workdir).fit()


def test_results_have_a_row_per_n(elastic):
    config, workdir, results = elastic
    rows = results["per_num_mux"]
    assert [row["num_mux"] for row in rows] == [1, 2]
    gmacs = [row["gmacs_per_image"] for row in rows]
    assert gmacs == sorted(gmacs, reverse=True)
    assert gmacs[0] == results["gmacs_per_image"]
    assert results["test_accuracy"] == rows[0]["accuracy"]
    assert {"slot_accuracy_0", "slot_accuracy_1"} <= set(rows[1])
    assert json.loads((workdir / "results.json").read_text()) == results


def test_the_rows_are_those_of_the_saved_model(elastic):
    config, workdir, results = elastic
    model, data = kcp.bundle.load_model(workdir), load_data(config)
    labels = np.concatenate([labels for _, labels in data.batches("test", 32)])
    for row in results["per_num_mux"]:
        single = model.at(row["num_mux"])
        logits = single.predict(data.batches("test", 32), verbose=0)
        accuracy = np.mean(logits.argmax(-1) == labels)
        assert row["accuracy"] == pytest.approx(accuracy, abs=1e-6)


def test_the_history_has_every_n(elastic):
    _, workdir, results = elastic
    history = results["history"]
    for n in (1, 2):
        assert len(history[f"val_accuracy_n{n}"]) == 2
    assert len(history["val_slot_accuracy_1_n2"]) == 2
    losses = [history[f"val_loss_n{n}"] for n in (1, 2)]
    np.testing.assert_allclose(history["val_loss"], np.mean(losses, axis=0), rtol=1e-6)
    # Validation saw the moving average of the weights, which is what is saved.
    assert list((workdir / "tensorboard").glob("events*"))


@pytest.mark.large
def test_an_elastic_run_goes_on(elastic):
    config, workdir, results = elastic
    longer = dataclasses.replace(config, epochs=3)
    run = Run(longer, workdir)
    assert run.progress.epochs == 2
    more = run.fit()
    assert more["history"]["val_loss_n2"][:2] == results["history"]["val_loss_n2"]
    assert len(more["history"]["val_loss_n2"]) == 3


def test_validation_scores_are_of_the_average(elastic, tiny_config):
    config, workdir, results = elastic
    model = kcp.bundle.load_model(workdir, "last")
    data = load_data(config)
    labels = np.concatenate([y for _, y in data.batches("validation", 32)])
    logits = model.at(2).predict(data.batches("validation", 32), verbose=0)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    # Later runs in this folder append to the history.
    history = json.loads((workdir / "results.json").read_text())["history"]
    expected = float(loss(keras.ops.one_hot(labels, 10), logits))
    assert history["val_loss_n2"][-1] == pytest.approx(expected, rel=1e-4)
