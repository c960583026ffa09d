import json

import pytest
from absl import flags

from benchmarks.accuracy import arrays, frontier, frontier_speed, frontier_training
from benchmarks.accuracy.recipe import TrainingCost


@pytest.fixture
def make_plan(tiny_raw, tiny_size, tmp_path, monkeypatch):
    monkeypatch.setitem(
        frontier.frontier_rows.kcp.vit.SIZES, "vit_tiny_frontier", tiny_size
    )
    arrays.save_npz(tmp_path / "tiny.npz", tiny_raw)

    def make(*changes):
        values = flags.FlagValues()
        frontier.define_flags(values)
        given = (
            f"--dataset={tmp_path}/tiny.npz",
            "--size=vit_tiny_frontier",
            "--epochs=2",
            "--batch_size=32",
            "--seeds=0",
            "--rows=vit",
            f"--out={tmp_path}/results",
        )
        values(["frontier", *given, *changes])
        return frontier.make_plan(values)

    return make


@pytest.mark.parametrize(
    "change, message",
    [
        ("--seeds=0,x", "--seeds must name integers"),
        ("--seeds=", "--seeds must name integers"),
        ("--dataset=none.npz", "There is no file none.npz"),
        ("--images=65", "65 train images wanted"),
        ("--batch_size=65", "do not fill one batch"),
        ("--rows=vit,mux", "no training 'mux'"),
    ],
)
def test_bad_flags_are_refused_before_any_training(make_plan, change, message):
    with pytest.raises(ValueError, match=message):
        make_plan(change)


def test_a_busy_machine_is_not_measured(make_plan, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (99.0, 0, 0))
    with pytest.raises(RuntimeError, match="--allow_load"):
        make_plan("--measure")
    make_plan("--measure", "--allow_load")


def test_rows_then_speed_then_both_in_the_table(
    make_plan, monkeypatch, tmp_path, capsys
):
    plan = make_plan("--seeds=0,1")
    plan.report()
    assert "no row of these settings" in capsys.readouterr().out
    monkeypatch.setattr(frontier_training, "train", lambda *_, **__: TrainingCost())
    monkeypatch.setattr(frontier_training, "accuracy", lambda *_: 0.5)
    plan.train(tmp_path / "vits")
    plan.report()
    assert "on the front, GMACs per image" in capsys.readouterr().out
    monkeypatch.setattr(
        frontier_speed,
        "interleaved_seconds",
        lambda functions, repeats: {
            key: (function(), 0.5)[1] for key, function in functions.items()
        },
    )
    plan.measure()
    plan.report()
    out = capsys.readouterr().out
    assert "| vit | " in out and "| 64 | " in out and "front, images/s, float32" in out
    stem = tmp_path / "results" / "frontier_tiny"
    assert stem.with_suffix(".md").read_text() == out
    assert stem.with_suffix(".png").exists()
    # Speeds of another size are not taken.
    speed_file = tmp_path / "results" / "frontier_tiny_speed.json"
    speed = json.loads(speed_file.read_text())
    assert speed["unfused"] == [] and "machine" in speed
    speed_file.write_text(json.dumps({**speed, "image_shape": [9, 9, 1]}))
    plan.report()
    assert "images/s" not in capsys.readouterr().out


def test_equal_graphs_are_timed_once(tiny_size, monkeypatch):
    monkeypatch.setattr(
        frontier_speed,
        "interleaved_seconds",
        lambda functions, repeats: dict.fromkeys(functions, 2.0),
    )
    names = ["vit half", "vit", "tome n2 untrained"]
    found = frontier_speed.measure(names, tiny_size, (8, 8, 1), 4, batch_size=8)
    assert found["images_per_second"]["float32"] == {"vit": 4.0, "tome n2": 4.0}
