import json
import subprocess
import sys

import pytest

import keras_concatplexer as kcp
from benchmarks.accuracy import frontier, frontier_speed
from benchmarks.accuracy.frontier_rows import PROTOCOLS
from benchmarks.results_file import ResultsFile


@pytest.mark.parametrize("texts", [["0", "x"], [], ["-1"]])
def test_seeds_are_numbers(texts):
    with pytest.raises(ValueError, match="--seeds must name integers"):
        frontier.checked_seeds(texts)
    assert frontier.checked_seeds(["0", " 2"]) == [0, 2]


def test_every_precision_of_every_model_is_timed(tiny_vit, monkeypatch):
    monkeypatch.setattr(
        frontier_speed,
        "interleaved_seconds",
        lambda functions, repeats: {
            key: (function(), 2.0)[1] for key, function in functions.items()
        },
    )
    elastic = kcp.ElasticConcatPlexer(tiny_vit, (1, 2))
    models = {"vit": (tiny_vit, 1), "n2": (elastic, 2)}
    monkeypatch.setattr(frontier_speed, "ALL_PRECISIONS", ("float32", "bfloat16"))
    found = frontier_speed.measure(models, 8, None)
    assert found["unfused"] == [] and found["images_per_second"].keys() >= {"float32"}
    for rates in found["images_per_second"].values():
        assert rates == {"vit": 4.0, "n2": 4.0}


def test_the_report_takes_what_is_there(tmp_path, capsys):
    results = ResultsFile(tmp_path / "rows.jsonl")
    given = PROTOCOLS["A"], results, tmp_path / "speed.json", tmp_path / "frontier"
    frontier.report(*given)
    assert "no row yet" in capsys.readouterr().out
    results.append(
        {
            "name": "vit",
            "seed": 0,
            "test_accuracy": 0.5,
            "num_test_images": 100,
            "gmacs_per_image": 1.0,
            "images_seen": 10,
            "seconds": 1.0,
        }
    )
    frontier.report(*given)
    out = capsys.readouterr().out
    assert (tmp_path / "frontier.md").read_text() == out and "50.0 ± 5.0" in out
    assert (tmp_path / "frontier.png").exists()
    given[2].write_text(json.dumps({"images_per_second": {"float32": {"vit": 7}}}))
    frontier.report(*given)
    assert "images/s, float32" in capsys.readouterr().out


@pytest.mark.large
def test_rows_are_trained_resumed_and_measured_by_the_command(tmp_path, digits_dir):
    command = [
        *(sys.executable, "-m", "benchmarks.accuracy.frontier", "--dataset=digits"),
        *(f"--data_dir={digits_dir}", "--epochs=1", "--teacher_epochs=1"),
        *("--train_split=train[:25%]", "--test_split=test[:64]"),
        *("--row=3 of 6 blocks", "--row=elastic", "--row=ToMe n2, untrained"),
        *(f"--out={tmp_path}/results", f"--workdir={tmp_path}/runs", "--allow_load"),
    ]

    def run(*more):
        done = subprocess.run([*command, *more], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run().count("-m train") == 3
    again = run()
    assert "-m train" not in again and "| elastic n4 | 4 |" in again
    assert "images/s, int8" in run("--measure")
    rows = ResultsFile(tmp_path / "results" / "frontier_A_digits.jsonl").rows()
    assert [row["name"] for row in rows] == [
        *("teacher", "3 of 6 blocks", "elastic n1", "elastic n2", "elastic n4"),
        "ToMe n2, untrained",
    ]
    assert {row["images_seen"] for row in rows} == {0, 256}
