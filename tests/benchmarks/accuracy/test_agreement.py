import json
import types

import numpy as np
import pytest

import keras_concatplexer as kcp
from benchmarks.accuracy import agreement as command
from benchmarks.accuracy.agreement import agreement
from benchmarks.accuracy.outliers import add_outliers


def test_each_precision_is_compared_with_the_live_model(tiny_vit, images, scramble):
    model = scramble(kcp.ConcatPlexer(tiny_vit, num_mux=2))
    batch = images(15)
    labels = np.asarray(model(batch)).argmax(-1)
    labels[:3] = (labels[:3] + 1) % 10
    results = agreement(model, batch, labels, images(16))
    assert results["float32"]["top1_agreement"] == 1
    assert results["float32"]["max_probability_difference"] < 1e-4
    assert results["float32"]["accuracy"] == results["float32"]["live_accuracy"] == 0.8
    assert 1e-4 < results["bfloat16"]["max_probability_difference"] < 0.1
    # Four a block, and in the last one the query of the class token by itself.
    assert results[command.NAIVE]["products"] == "9/9"
    assert results["int8"]["products"].endswith("/9")


def test_outlier_channels_cost_the_naive_form_its_answers(tiny_vit, images, scramble):
    scramble(tiny_vit)
    add_outliers(tiny_vit, num_channels=1, factor=60.0)
    results = agreement(tiny_vit, images(16), np.zeros(16), images(16))
    naive, chosen = (
        results[name]["max_probability_difference"] for name in (command.NAIVE, "int8")
    )
    assert naive > 3 * chosen


@pytest.mark.large
def test_a_line_for_each_n_with_outliers(tiny_vit, images, monkeypatch, capsys):
    model = kcp.ElasticConcatPlexer(tiny_vit, (1, 2))
    loaded = (model, images(5), np.arange(5))
    monkeypatch.setattr(command.trained, "load_from_flags", lambda _: loaded)
    calibration = (model, images(16), None)
    monkeypatch.setattr(command.trained, "load_arrays", lambda *_: calibration)
    before = np.array(kcp.vit.read_stages(tiny_vit).block_parts[0].norm1.gamma)
    values = types.SimpleNamespace(
        outlier_factor=20.0,
        workdir="",
        dataset="",
        data_dir="",
        calibration_split="train",
    )
    command.main(values)
    after = np.array(kcp.vit.read_stages(tiny_vit).block_parts[0].norm1.gamma)
    assert (after / before).max() > 19
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["num_mux"], row["precision"]) for row in rows][:2] == [
        (1, "float32"),
        (1, "bfloat16"),
    ]
    assert {row["num_mux"] for row in rows} == {1, 2}
    assert all(r["top1_agreement"] == 1 for r in rows if r["precision"] == "float32")
