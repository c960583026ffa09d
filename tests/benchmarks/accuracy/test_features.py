import types

import numpy as np
import pytest

import keras_concatplexer as kcp
from benchmarks import trainings
from benchmarks.accuracy import features
from train.trainer import Run


def test_what_is_said_of_features(tiny_vit, images):
    labels = np.arange(16) % 2
    taught = features.features_of(tiny_vit, images(16))
    judge = features.Judge(images(16), labels, images(16), labels, taught)
    scores = judge.scores(kcp.vit.with_classes(tiny_vit, None))
    assert scores["cosine"] == pytest.approx(1, abs=1e-5)
    # All sixteen are neighbours of each, and half of them are of either class.
    assert scores["knn"] == 0.5
    apart = np.where(labels[:, None], [[1.0, 0.1]], [[0.1, 1.0]])
    support = np.concatenate(
        [np.repeat(apart[:1], 30, 0), np.repeat(apart[1:2], 30, 0)]
    )
    known = np.repeat([0, 1], 30)
    judge = features.Judge(None, known, None, labels, None)
    assert judge.knn_accuracy(support, apart) == 1


@pytest.mark.large
def test_the_rows_are_adapted_once(
    trained_vit, digits_dir, tmp_path, monkeypatch, capsys
):
    trained = []

    def train(folder, settings):
        from train.config import Config

        trained.append((settings["model"], settings.get("num_mux")))
        Run(Config(**settings, image_summaries=False), folder).fit()

    monkeypatch.setattr(trainings, "train", train)
    values = types.SimpleNamespace(
        workdir=str(trained_vit[0]),
        dataset="digits",
        data_dir=str(digits_dir),
        split="test[:96]",
        train_split="train[:192]",
        out=str(tmp_path / "out"),
        epochs=2,
        learning_rate=1e-3,
        num_blocks=1,
        num_support=128,
    )
    features.main(values)
    printed = capsys.readouterr().out
    assert trained == [("concatplexer", 2), ("concatplexer", 4), ("vit", None)]
    rows = features.ResultsFile(tmp_path / "out" / "features.jsonl").rows()
    assert [row["model"] for row in rows] == [
        *("ConcatPlexer, N = 2", "ConcatPlexer, N = 4", "ViT, 1 of 2 blocks"),
    ]
    for row in rows:
        assert row["cosine_after"] > row["cosine_before"]
    features.main(values)
    assert len(trained) == 3
    assert capsys.readouterr().out.splitlines()[-3:] == printed.splitlines()[-3:]
    # Other settings are other rows, not those that are there.
    values.train_split = "train[:160]"
    features.main(values)
    assert len(trained) == 6
