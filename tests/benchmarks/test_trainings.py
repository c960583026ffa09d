import json

import pytest

from benchmarks import trainings


def test_settings_become_flags():
    settings = {"epochs": 2, "num_mux": (1, 2), "own_norm": True, "ema": False}
    flags = ["--epochs=2", "--num_mux=1,2", "--own_norm", "--noema"]
    assert trainings.as_flags(settings) == flags


def test_a_training_is_a_command_whose_results_are_read(tmp_path, monkeypatch):
    ran = []

    def run(module, *arguments):
        ran.append((module, *arguments))
        (tmp_path / "results.json").write_text(json.dumps({"test_accuracy": 0.5}))

    monkeypatch.setattr(trainings, "command", run)
    assert trainings.train(tmp_path, {"epochs": 2}) == {"test_accuracy": 0.5}
    assert ran == [("train", "--epochs=2", f"--workdir={tmp_path}")]


def test_a_command_that_fails_is_named(capfd):
    with pytest.raises(ValueError, match="Exit code 1 of: python -m no.such '--a=b c'"):
        trainings.command("no.such", "--a=b c")
    assert "$ python -m no.such" in capfd.readouterr().out
