import dataclasses

import pytest

from benchmarks.accuracy import frontier_training
from benchmarks.accuracy.frontier_training import Comparison, settings
from benchmarks.accuracy.recipe import Recipe, TrainingCost
from benchmarks.results_file import ResultsFile
from keras_concatplexer.flops import Cost

RECIPE = Recipe(epochs=2, batch_size=32)
# All kinds: fresh, from a half and a full ViT, with a teacher.
NAMES = ["concat n4 group distilled", "concat n2 image from vit", "tome n4 untrained"]


@pytest.fixture
def compare(tiny_arrays, tiny_size, tmp_path):
    """Function, settings of the recipe -> a `Comparison` over one file and folder."""

    def make(**changes):
        results = ResultsFile(tmp_path / "rows.jsonl")
        recipe = dataclasses.replace(RECIPE, **changes)
        return Comparison(tiny_arrays, tiny_size, recipe, results, tmp_path / "vits")

    return make


@pytest.fixture
def trained(monkeypatch):
    """List of (model name, epochs, teacher) of the trainings, which take no time."""
    calls = []

    def train(model, arrays, recipe, teacher=None):
        calls.append((model.name, recipe.epochs, teacher is not None))
        return TrainingCost(recipe.epochs * len(arrays.train_images), 1.0, 2.0)

    monkeypatch.setattr(frontier_training, "train", train)
    monkeypatch.setattr(frontier_training, "accuracy", lambda *_: 0.5)
    cost = Cost({"all": 1_000_000})
    monkeypatch.setattr(frontier_training.kcp.flops, "count", lambda _: cost)
    return calls


def test_all_rows_see_as_many_images(compare, trained):
    comparison = compare()
    for name in (*NAMES, "vit narrow"):
        comparison.run(name)
    rows = {row["name"]: row for row in comparison.results.rows()}
    half = rows.pop("vit half")
    assert half["images_seen"] == 64 and half["cpu_seconds"] == 2
    assert rows.keys() == {"vit", "vit narrow", *NAMES}
    assert {row["images_seen"] for row in rows.values()} == {128}
    assert rows["concat n2 image from vit"]["cpu_seconds"] == 4
    assert rows["tome n4 untrained"]["cpu_seconds"] == 2
    assert rows["vit"]["teacher"] is None
    assert rows["concat n4 group distilled"]["teacher"]["images_seen"] == 128
    # Shared ViTs are trained once; the untrained has no training.
    assert len(trained) == len(rows)


def test_an_interrupted_run_goes_on(compare, trained, monkeypatch):
    train = frontier_training.train

    def killed(model, arrays, recipe, teacher=None):
        if teacher:
            raise KeyboardInterrupt
        return train(model, arrays, recipe)

    monkeypatch.setattr(frontier_training, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        compare().run(NAMES[0])
    assert trained == [("vit", 2, False)]
    assert [row["name"] for row in compare().results.rows()] == ["vit"]
    monkeypatch.setattr(frontier_training, "train", train)
    for _ in range(2):
        for name in ("vit", *NAMES):
            compare().run(name)
    assert [call[1:] for call in trained] == [(2, False), (2, True), (1, False), (1, 0)]
    names = [row["name"] for row in compare().results.rows()]
    assert names == ["vit", NAMES[0], "vit half", *NAMES[1:]]


def test_lost_weights_are_trained_again_without_a_second_row(compare, trained):
    compare().run("vit")
    for path in compare()._files("vit"):
        path.unlink()
    compare().run("tome n4 untrained")
    assert trained == [("vit", 2, False)] * 2
    names = [row["name"] for row in compare().results.rows()]
    assert names == ["vit", "tome n4 untrained"]


def test_other_settings_and_seeds_are_other_rows(compare, trained):
    for changes in ({}, {"seed": 1}, {"learning_rate": 1e-4}, {}):
        compare(**changes).run("vit")
    assert len(trained) == 3
    rows = compare().results.select(settings=compare().settings)
    assert [row["seed"] for row in rows] == [0, 1]


def test_settings_name_what_must_be_alike(tiny_arrays, tiny_size):
    found = settings(tiny_arrays, tiny_size, RECIPE)
    assert found["train_images"] == 64 and found["backend"] == "tensorflow"
    assert found["size"]["hidden_dim"] == 16 and "seed" not in found
    assert settings(tiny_arrays, tiny_size, Recipe(seed=1)) != found


@pytest.mark.large
def test_real_trainings(compare):
    comparison = compare()
    for name in NAMES:
        comparison.run(name)
    rows = {row["name"]: row for row in comparison.results.rows()}
    # Nothing but the file of the ViT stands between the two.
    assert rows["tome n4 untrained"]["cpu_seconds"] == rows["vit"]["cpu_seconds"]
    assert {"cores", "cpu"} <= rows["vit"]["hardware"].keys()
    assert "tensorflow" in rows["vit"]["versions"]
    costs = [rows[name]["gmacs_per_image"] for name in ("vit", NAMES[1], NAMES[0])]
    assert costs == sorted(costs, reverse=True)
