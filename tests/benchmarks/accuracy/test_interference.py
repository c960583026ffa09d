import json
import types

import numpy as np
import pytest

import keras_concatplexer as kcp
from benchmarks.accuracy import interference

LABELS = np.arange(8) % 3


def test_the_report(tiny_vit, images, scramble, tmp_path, monkeypatch, capsys):
    model = scramble(kcp.ConcatPlexer(tiny_vit, num_mux=2))
    loaded = (model, images(7), LABELS[:7])
    monkeypatch.setattr(interference.trained, "load_from_flags", lambda *_: loaded)
    values = types.SimpleNamespace(
        dataset="some",
        split="test",
        num_images=7,
        num_draws=2,
        num_mux=None,
        seed=0,
        out=str(tmp_path / "new"),
    )
    interference.main(values)
    text = capsys.readouterr().out
    assert "| images, draws | 7, 2 |" in text
    assert "| accuracy of the ensemble, 4 x N passes (8 x the cost) |" in text
    content = json.loads((tmp_path / "new" / "interference.json").read_text())
    assert (content["dataset"], content["num_images"]) == ("some", 7)
    assert [row["cost"] for row in content["ensembles"]] == [2, 8]
    picture = (tmp_path / "new" / "interference.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_an_elastic_model_runs_at_the_n_that_is_asked_for(tiny_vit):
    elastic = kcp.ElasticConcatPlexer(tiny_vit, (1, 2))
    plain = elastic.at(2)
    assert interference.at_num_mux(elastic, 2) is plain
    assert interference.at_num_mux(plain, None) is plain
    assert interference.at_num_mux(plain, 2) is plain
    assert interference.at_num_mux(tiny_vit, None) is tiny_vit
    for model, num_mux in ((elastic, None), (elastic, 3), (plain, 4), (tiny_vit, 2)):
        with pytest.raises(ValueError, match="--num_mux must be one of"):
            interference.at_num_mux(model, num_mux)
