import numpy as np

import keras_concatplexer as kcp
from benchmarks.accuracy import slot_bias
from benchmarks.accuracy.arrays import Arrays
from benchmarks.accuracy.recipe import Recipe, TrainingCost


def test_a_row(tiny_vit, images, scramble, monkeypatch):
    monkeypatch.setattr(kcp.vit, "keras_cv_vit", lambda *_: tiny_vit)

    # Training is tested elsewhere; here it moves all weights.
    def scramble_instead(model, *_):
        scramble(model)
        return TrainingCost()

    monkeypatch.setattr(slot_bias, "train", scramble_instead)
    labels = np.arange(8) % 3
    arrays = Arrays("some", images(8), labels, images(8), labels, num_classes=3)
    recipe = Recipe(epochs=1, batch_size=4)
    row = slot_bias.run_row(arrays, recipe, shuffle_slots=True, num_draws=4)
    assert row["num_mux"] == len(row["slot_accuracy"]) == 4
    accuracies = [slot["accuracy"] for slot in row["slot_accuracy"]]
    assert row["between_slots"] == max(accuracies) - min(accuracies)
    assert row["slot_vectors"] > 0
    line = slot_bias.table_line({"shuffle_slots": True, "seed": 0, **row})
    assert line.startswith("| yes | 0 |") and line.count("|") == 10
