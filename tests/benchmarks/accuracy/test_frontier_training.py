import json

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from benchmarks.accuracy import frontier_training
from benchmarks.accuracy.frontier_rows import PROTOCOLS, TEACHER
from benchmarks.accuracy.frontier_training import Comparison, with_blocks
from benchmarks.results_file import ResultsFile

ROWS = {row.name: row for row in PROTOCOLS["A"].rows}


@pytest.fixture
def compare(tmp_path):
    def make(**changes):
        return Comparison(
            **{
                "protocol": "A",
                "dataset": "digits",
                "data_dir": "DATA",
                "workdir": tmp_path / "runs",
                "results": ResultsFile(tmp_path / "rows.jsonl"),
                "train_split": "train[:50%]",
                "test_split": "test[:100]",
                "num_train_images": 700,
                **changes,
            }
        )

    return make


@pytest.fixture
def trained(monkeypatch, make_vit):
    """List of (folder, settings) of the trainings, which take no time."""
    calls = []

    def train(folder, settings):
        calls.append((folder, settings))
        num_mux = settings.get("num_mux", 1)
        folder.mkdir(parents=True)
        (folder / "results.json").write_text("{}")
        return {
            "history": {"val_accuracy": [0.1, 0.3, 0.2]},
            "num_test_images": 100,
            "steps": 10,
            "training_seconds": 5.0,
            "per_num_mux": [
                {"num_mux": n, "accuracy": n / 10, "gmacs_per_image": 1 / n}
                for n in (num_mux if isinstance(num_mux, tuple) else (num_mux,))
            ],
        }

    monkeypatch.setattr(frontier_training.trainings, "train", train)
    return calls


def test_a_row_says_what_it_cost_and_is_trained_once(compare, trained):
    for _ in range(2):
        (row,) = compare().run(ROWS["vit"], 3)
    assert len(trained) == 1
    assert (row["test_accuracy"], row["validation_accuracy"]) == (0.1, 0.3)
    assert (row["images_seen"], row["seconds"]) == (1280, 5.0)
    assert row["precision"] == "mixed_bfloat16" and row["seed"] == 3
    assert {"commit", "cpu"} <= row["machine"].keys()
    json.dumps(row)


def test_an_elastic_training_gives_a_row_for_each_n(compare, trained):
    for _ in range(2):
        rows = compare().run(ROWS["elastic"], 0)
    names = [(row["name"], row["test_accuracy"]) for row in rows]
    assert names == [("elastic n1", 0.1), ("elastic n2", 0.2), ("elastic n4", 0.4)]
    assert len(trained) == 1


def test_other_settings_and_seeds_are_other_rows_and_other_places_are_not(
    compare, trained
):
    for changes, seed in (({}, 0), ({}, 1), ({"epochs": 2}, 2), ({"epochs": 3}, 2)):
        folder = compare(**changes).folder(ROWS["vit"], seed)
        if folder.exists():
            (folder / "results.json").unlink()
            folder.rmdir()
        compare(**changes).run(ROWS["vit"], seed)
    assert len(trained) == 4
    compare(data_dir="elsewhere", teacher="other").run(ROWS["vit"], 0)
    assert len(trained) == 4


@pytest.mark.large
def test_what_rows_start_from(compare, trained, monkeypatch, make_vit):
    vit = kcp.vit.keras_cv_vit("vit_nano4", (16, 16, 1), 10)
    monkeypatch.setattr(frontier_training.trained, "load_model", lambda _: vit)
    comparison = compare(epochs=2)
    for name in ("concat n2 image, depth 2", "3 of 6 blocks", "coarse"):
        comparison.run(ROWS[name], 0)
    settings = [given for _, given in trained]
    teacher = str(comparison.teacher_folder)
    assert [given["teacher"] for given in settings] == [teacher] * 3
    assert settings[0]["init_from"] == teacher
    assert all("size" not in given for given in settings)
    starts = [
        kcp.vit.read_stages(keras.saving.load_model(given["init_from"]))
        for given in settings[1:]
    ]
    assert [len(stages.blocks) for stages in starts] == [3, 6]
    # Half an epoch of warmup of two, as of none of twenty.
    assert settings[0]["warmup_epochs"] == 0.5
    assert comparison.settings(TEACHER, 0)["epochs"] == 40
    # From scratch no file is needed for the size itself.
    scratch = compare(protocol="B")
    scratch.run(PROTOCOLS["B"].rows[0], 0)
    assert trained[-1][1]["size"] == "vit_nano4"
    assert not {"init_from", "teacher"} & trained[-1][1].keys()
    wide = {row.name: row for row in PROTOCOLS["B"].rows}
    scratch.run(wide["concat n4 image, depth 2, width 176"], 0)
    backbone = keras.saving.load_model(trained[-1][1]["backbone"])
    stages = kcp.vit.read_stages(backbone)
    assert (len(stages.blocks), stages.hidden_dim) == (4, 176)


def test_the_teacher_is_trained_where_it_is_missing(compare, trained):
    rows = [ROWS["vit"]]
    compare(teacher="given").prepare_teacher(rows)
    compare(protocol="B").prepare_teacher([PROTOCOLS["B"].rows[0]])
    assert trained == []
    for _ in range(2):
        compare().prepare_teacher(rows)
    assert len(trained) == 1 and trained[0][1]["cutmix"] == 1.0
    # Its row outlived its run.
    (compare().teacher_folder / "results.json").unlink()
    compare().teacher_folder.rmdir()
    compare().prepare_teacher(rows)
    assert len(trained) == 2


def test_what_needs_no_training_is_evaluated(compare, monkeypatch, images):
    vit = kcp.vit.keras_cv_vit("vit_nano4", (16, 16, 1), 10)
    arrays = images(8, (16, 16, 1)), np.zeros(8, int)
    monkeypatch.setattr(frontier_training.trained, "load_model", lambda _: vit)
    monkeypatch.setattr(
        frontier_training.trained, "load_arrays", lambda *_: (vit, *arrays)
    )
    (row,) = compare().run(ROWS["ToMe n2, untrained"], 0)
    assert row["images_seen"] == 0 and row["num_test_images"] == 8
    assert 0 <= row["test_accuracy"] <= 1 and row["num_mux"] == 2


def test_kept_blocks_are_spread_evenly_and_keep_their_weights(make_vit, scramble):
    vit = scramble(kcp.vit.keras_cv_vit("vit_nano4", (16, 16, 1), 10))
    size = kcp.vit.ViTSize(128, 4, 4, 512, 4)
    old, new = (kcp.vit.read_stages(m) for m in (vit, with_blocks(vit, size)))
    pairs = [(old.blocks[i], b) for i, b in zip((0, 2, 3, 5), new.blocks, strict=True)]
    pairs += [(getattr(old, n), getattr(new, n)) for n in ("embedding", "norm", "head")]
    for source, copy in pairs:
        for expected, found in zip(
            source.get_weights(), copy.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
