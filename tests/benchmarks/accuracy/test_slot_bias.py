import json
import types

import numpy as np

import keras_concatplexer as kcp
from benchmarks.accuracy import slot_bias


def test_what_is_said_of_a_model(tiny_vit, images, scramble):
    model = scramble(kcp.ConcatPlexer(tiny_vit, num_mux=4))
    row = slot_bias.describe(model, images(8), np.arange(8) % 3, num_draws=4)
    assert row["num_mux"] == len(row["slot_accuracy"]) == 4
    accuracies = [slot["accuracy"] for slot in row["slot_accuracy"]]
    assert row["between_slots"] == max(accuracies) - min(accuracies)
    assert row["slot_vectors"] > 0
    line = slot_bias.table_line({"shuffle_slots": True, "seed": 0, **row})
    assert line[:2] == ["yes", "0"] and len(line) == len(slot_bias.COLUMNS)
    json.dumps(row)


def test_each_row_is_trained_once(tmp_path, monkeypatch, capsys):
    trained = []
    row = {
        "accuracy": 0.9,
        "slot_accuracy": [{"accuracy": 0.9}],
        "between_slots": 0.0,
        "flip_rate": 0.1,
        "spread": 0.2,
        "feature_similarity": 0.9,
        "slot_vectors": 0.1,
    }

    def run_row(folder, settings, num_draws):
        trained.append((settings["shuffle_slots"], settings["seed"]))
        return row

    monkeypatch.setattr(slot_bias, "run_row", run_row)
    values = types.SimpleNamespace(
        out=str(tmp_path), epochs=1, seeds=["0", "1"], num_draws=2
    )
    for _ in range(2):
        slot_bias.main(values)
        assert "| yes | 1 | 90.00 |" in capsys.readouterr().out
    assert trained == [(False, 0), (False, 1), (True, 0), (True, 1)]
