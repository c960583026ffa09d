import keras
import numpy as np
import pytest

from keras_concatplexer.metrics import SlotAccuracy

LABELS = np.array([0, 1, 2, 0, 1])
# Right, wrong, right, right, wrong.
LOGITS = np.eye(3, dtype="float32")[[0, 0, 2, 0, 0]]


def values(metric):
    return {name: float(value) for name, value in metric.result().items()}


def test_accuracy_of_each_slot():
    metric = SlotAccuracy(num_mux=2)
    metric.update_state(LABELS, LOGITS)
    # Rows 0, 2, 4 and rows 1, 3.
    assert values(metric) == pytest.approx(
        {"slot_accuracy_0": 2 / 3, "slot_accuracy_1": 1 / 2}
    )


@pytest.mark.parametrize(
    "labels", [LABELS, LABELS[:, None], np.eye(3)[LABELS], np.eye(3)[LABELS] * 0.9]
)
def test_forms_of_labels(labels):
    metric = SlotAccuracy(num_mux=2, slot=0)
    metric.update_state(labels, LOGITS)
    assert float(metric.result()) == pytest.approx(2 / 3)


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_weights(shape):
    weights = np.array([1, 1, 0, 3, 1], "float32").reshape(shape)
    metric = SlotAccuracy(num_mux=2)
    metric.update_state(LABELS, LOGITS, sample_weight=weights)
    assert values(metric) == pytest.approx(
        {"slot_accuracy_0": 1 / 2, "slot_accuracy_1": 3 / 4}
    )


def test_slots_begin_anew_in_each_batch_and_after_a_reset():
    metric = SlotAccuracy(num_mux=2, slot=1)
    metric.update_state(LABELS, LOGITS)
    metric.update_state(LABELS[3:], LOGITS[3:])
    # Rows 1 and 3 of the first batch, row 1 of the second.
    assert float(metric.result()) == pytest.approx(1 / 3)
    metric.reset_state()
    assert float(metric.result()) == 0
    metric.update_state(LABELS[2:4], LOGITS[2:4])
    assert float(metric.result()) == 1


def test_one_slot_is_plain_accuracy():
    metric, accuracy = SlotAccuracy(1, slot=0), keras.metrics.CategoricalAccuracy()
    for one in (metric, accuracy):
        one.update_state(np.eye(3)[LABELS], LOGITS)
    assert float(metric.result()) == pytest.approx(float(accuracy.result()))


def test_round_trip():
    metric = SlotAccuracy(num_mux=4, slot=2, name="third")
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert copy.get_config() == metric.get_config()
    assert (copy.num_mux, copy.slot, copy.name) == (4, 2, "third")


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10, 8)).astype("float32")
    y = rng.integers(0, 3, size=10)
    weights = np.array([1] * 7 + [0] * 3, "float32")
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    model.compile(
        "sgd",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[SlotAccuracy(2)],
        weighted_metrics=["accuracy", SlotAccuracy(2, name="weighted")],
    )
    data = {"x": x, "y": y, "sample_weight": weights, "batch_size": 4}
    history = model.fit(**data, validation_data=(x, y, weights), verbose=0)
    return model, data, history.history


def test_fit_logs_one_value_per_slot(fitted):
    _, _, history = fitted
    for name in ("slot_accuracy_0", "slot_accuracy_1", "weighted_0", "weighted_1"):
        assert len(history[name]) == len(history[f"val_{name}"]) == 1


def test_evaluate_agrees_with_the_predictions(fitted):
    model, data, _ = fitted
    results = model.evaluate(**data, return_dict=True, verbose=0)
    hits = model.predict(data["x"], verbose=0).argmax(-1) == data["y"]
    weights = data["sample_weight"]
    # Batches of 4, which 2 divides: the slot is the index modulo 2.
    for slot in range(2):
        assert results[f"slot_accuracy_{slot}"] == pytest.approx(hits[slot::2].mean())
        assert results[f"weighted_{slot}"] == pytest.approx(
            np.average(hits[slot::2], weights=weights[slot::2])
        )
    assert len(model.evaluate(**data, verbose=0)) == len(results)


def test_a_compiled_model_with_the_metric_is_loaded(fitted, tmp_path):
    model, data, _ = fitted
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    before = model.evaluate(**data, return_dict=True, verbose=0)
    assert loaded.evaluate(**data, return_dict=True, verbose=0) == pytest.approx(before)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_mux": 0}, "`num_mux`"),
        ({"num_mux": 2, "slot": 2}, "`slot` must be"),
        ({"num_mux": 2, "slot": -1}, "`slot` must be"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SlotAccuracy(**arguments)


def test_predictions_must_be_a_matrix():
    with pytest.raises(ValueError, match="shape \\(batch_size, num_classes\\)"):
        SlotAccuracy(2).update_state(LABELS, LABELS)
