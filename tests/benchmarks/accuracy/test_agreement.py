import json
import types

import numpy as np

import keras_concatplexer as kcp
from benchmarks.accuracy import agreement as command
from benchmarks.accuracy.agreement import agreement


def test_each_precision_is_compared_with_the_live_model(tiny_vit, images, scramble):
    model = scramble(kcp.ConcatPlexer(tiny_vit, num_mux=2))
    batch = images(15)
    labels = np.asarray(model(batch)).argmax(-1)
    labels[:3] = (labels[:3] + 1) % 10
    results = agreement(model, batch, labels)
    assert results["float32"]["top1_agreement"] == 1
    assert results["float32"]["max_probability_difference"] < 1e-4
    assert results["float32"]["accuracy"] == results["float32"]["live_accuracy"] == 0.8
    assert 1e-4 < results["bfloat16"]["max_probability_difference"] < 0.1


def test_a_line_for_each_n_with_outliers(tiny_vit, images, monkeypatch, capsys):
    model = kcp.ElasticConcatPlexer(tiny_vit, (1, 2))
    loaded = (model, images(5), np.arange(5))
    monkeypatch.setattr(command.trained, "load_from_flags", lambda _: loaded)
    before = np.array(kcp.vit.read_stages(tiny_vit).block_parts[0].norm1.gamma)
    command.main(types.SimpleNamespace(outlier_factor=20.0))
    after = np.array(kcp.vit.read_stages(tiny_vit).block_parts[0].norm1.gamma)
    assert (after / before).max() > 19
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["num_mux"], row["precision"]) for row in rows][:2] == [
        (1, "float32"),
        (1, "bfloat16"),
    ]
    assert {row["num_mux"] for row in rows} == {1, 2}
    assert all(r["top1_agreement"] == 1 for r in rows if r["precision"] == "float32")
