import types

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
    values = types.SimpleNamespace(out=str(tmp_path), epochs=3, seed=0)
    for _ in range(2):
        multiplexers.main(values)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2 + len(multiplexers.rows())
        assert lines[2] == "| vit | 50.0 | 1.0000 | 2 |"
    assert len({folder for folder, *_ in trained}) == len(trained) == 9
    assert {epochs for *_, epochs in trained} == {3}
    models = [model for _, model, _ in trained]
    assert models[:3] == ["vit", "concatplexer", "concatplexer"]


def test_the_settings_are_those_of_the_training_command():
    from train.config import Config

    for settings in multiplexers.rows().values():
        Config(**multiplexers.RECIPE, **settings).check()
