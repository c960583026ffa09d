import types

import keras
import numpy as np
import pytest

from benchmarks.accuracy import multiplexers


def test_each_row_is_trained_once_in_a_folder_of_its_own(tmp_path, monkeypatch, capsys):
    trained = []

    def train(folder, settings):
        trained.append((folder, settings["model"], settings["epochs"]))
        return {
            "test_accuracy": 0.5,
            "gmacs_per_image": 1.0,
            "training_seconds": 2.0,
            "history": {},
        }

    monkeypatch.setattr(multiplexers.trainings, "train", train)
    warmed = []
    monkeypatch.setattr(
        multiplexers, "warm_up", lambda settings, *given: warmed.append(given)
    )
    values = types.SimpleNamespace(out=str(tmp_path), epochs=3, seed=0)
    for _ in range(2):
        multiplexers.main(values)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2 + len(multiplexers.rows())
        assert lines[2] == "| vit | 50.0 | 1.0000 | 2 |"
    assert len({folder for folder, *_ in trained}) == len(trained) == 15
    # What warms up for an epoch trains for two.
    assert sorted(epochs for *_, epochs in trained) == [2] * 6 + [3] * 9
    assert [epochs for epochs, _ in warmed] == [1] * 6
    models = [model for _, model, _ in trained]
    assert models[:3] == ["vit", "concatplexer", "concatplexer"]


def test_the_settings_are_those_of_the_training_command():
    from train import Config

    for settings, _ in multiplexers.rows().values():
        Config(**multiplexers.RECIPE, **settings).check()


@pytest.mark.large
def test_a_warm_up_moves_the_weights_and_can_be_gone_on_with(tmp_path, digits_dir):
    settings, warmup = multiplexers.rows()["holographic + unbind, depth 3, warm-up"]
    settings = {
        **multiplexers.RECIPE,
        **settings,
        "data_dir": str(digits_dir),
        "train_split": "train[:64]",
        "test_split": "test[:64]",
        "epochs": 3,
        "seed": 0,
    }
    assert warmup
    row = multiplexers.run_row(tmp_path / "run", settings, warmup)
    assert 0 <= row["test_accuracy"] <= 1
    before, after = (
        keras.saving.load_model(path, compile=False).get_weights()
        for path in (tmp_path / "run.keras", tmp_path / "run" / "last.keras")
    )
    assert [w.shape for w in before] == [w.shape for w in after]
    changes = [np.abs(a - b).max() for a, b in zip(before, after, strict=True)]
    assert 0 < np.median(changes) < 0.05
