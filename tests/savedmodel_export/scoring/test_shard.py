import dataclasses

import numpy as np
import pyarrow.parquet
import pytest

from savedmodel_export.scoring.job import Counts
from savedmodel_export.scoring.plan import Plan, Shard
from savedmodel_export.scoring.shard import TooManyErrorsError, score_shard
from savedmodel_export.scoring.sources import Image
from savedmodel_export.scoring.storage import Folder


def read(job, name):
    with Folder(job.output).open(name) as file:
        return pyarrow.parquet.read_table(file)


@pytest.mark.parametrize(
    "kind", ["group", pytest.param("image", marks=pytest.mark.large)]
)
def test_a_shard(make_job, load, make_served, pixels, kind):
    job = make_job(kind, shard_size=9, top_k=3, outputs=("logits", "probabilities"))
    steps = []
    counts = score_shard(job, load(job), job.plan.shards[0], progress=steps.append)
    assert counts == Counts(7, 2)
    assert steps == [Counts(3, 1), Counts(3, 1), Counts(1, 0)]
    table = read(job, "part-00000.parquet").to_pydict()
    assert table["key"] == [f"{i}.png" for i in range(9) if i not in (3, 7)]
    live = make_served(kind).live
    # The batches are of four; what cannot be decoded is not beside the others.
    expected = np.concatenate([live(pixels[i]) for i in ([0, 1, 2], [4, 5, 6], [8])])
    np.testing.assert_allclose(table["logits"], expected, atol=1e-4)
    assert table["class_id"] == expected.argmax(-1).tolist()
    assert table["class"] == [f"class {i}" for i in table["class_id"]]
    for row in range(7):
        best = np.argsort(-expected[row])[:3]
        assert table["top_class_ids"][row] == best.tolist()
        assert table["top_classes"][row] == [f"class {i}" for i in best]
        assert table["probability"][row] == table["top_probabilities"][row][0]
        assert sum(table["probabilities"][row]) == pytest.approx(1, abs=1e-4)
    errors = read(job, "errors-00000.parquet").to_pydict()
    assert errors["key"] == ["3.png", "7.png"]
    assert "Not an image" in errors["reason"][0]


def test_features(make_job, load, make_served, pixels):
    job = make_job("features", shard_size=9, outputs=("features",))
    assert score_shard(job, load(job), job.plan.shards[0]) == Counts(7, 2)
    table = read(job, "part-00000.parquet")
    assert table.column_names == ["key", "features"]
    expected = make_served("features").live(pixels[[0, 1, 2, 4, 5, 6, 8]])
    found = np.array(table["features"].to_pylist())
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_without_errors_there_is_no_table_of_them(make_job, quick_model, folder):
    for i in (3, 7):
        (folder / f"{i}.png").unlink()
    job = make_job("image")
    score_shard(job, quick_model, job.plan.shards[0])
    assert Folder(job.output).names() == {"manifest.json", "part-00000.parquet"}


def test_too_many_errors_leave_no_table(make_job, quick_model):
    job = make_job("image", share=0.2, shard_size=9)
    with pytest.raises(
        TooManyErrorsError, match="2 of 9 images .*error_share=0.2.*7.png: Not an"
    ):
        score_shard(job, quick_model, job.plan.shards[0])
    assert Folder(job.output).names() == {"manifest.json"}
    # Those of the shards before count, too.
    job = dataclasses.replace(job, max_error_share=0.3)
    with pytest.raises(TooManyErrorsError, match="3 of 9 images"):
        score_shard(job, quick_model, job.plan.shards[0], errors_before=2)
    assert score_shard(job, quick_model, job.plan.shards[0]).errors == 2


class Source:
    """Images that are made up."""

    def __init__(self, images):
        self.images = images

    def read(self):
        yield from self.images


def test_a_number_of_images_that_is_not_known(make_job, quick_model, encoded):
    job = make_job("image")
    images = [Image(str(i), content) for i, content in enumerate(encoded)]
    images[4] = Image("4", error="gone")
    job = dataclasses.replace(job, plan=Plan((), None, ""), max_error_share=0.2)
    assert score_shard(job, quick_model, Shard(0, Source(images))) == Counts(8, 1)
    job = dataclasses.replace(job, max_error_share=0.1)
    with pytest.raises(TooManyErrorsError, match="1 of the images"):
        score_shard(job, quick_model, Shard(1, Source(images)))


def test_answers_that_are_not_finite(make_job):
    class Model:
        def answer(self, contents):
            logits = np.ones((3, 10), "float32")
            logits[1, 4] = np.nan
            outputs = {
                "logits": logits,
                "probabilities": logits / 10,
                "class_ids": np.array([1, 2, 3]),
            }
            return [0, 2, 3], outputs, {1: "broken"}

    job = make_job("image")
    images = [Image(name, b"x") for name in "abcd"]
    counts = score_shard(job, Model(), Shard(0, Source(images)))
    assert counts == Counts(2, 2)
    assert read(job, "part-00000.parquet")["key"].to_pylist() == ["a", "d"]
    assert read(job, "part-00000.parquet")["class_id"].to_pylist() == [1, 3]
    assert read(job, "errors-00000.parquet").to_pydict() == {
        "key": ["b", "c"],
        "reason": ["broken", "the model's answer is not finite"],
    }


def test_a_failure_of_the_model_leaves_nothing(make_job):
    class Model:
        def answer(self, contents):
            raise ValueError("The model failed: out of memory")

    job = make_job("image")
    with pytest.raises(ValueError, match="out of memory"):
        score_shard(job, Model(), job.plan.shards[0])
    assert Folder(job.output).names() == {"manifest.json"}


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_other_formats(make_job, quick_model, format, tmp_path):
    job = make_job("image", format=format, top_k=2)
    counts = score_shard(job, quick_model, job.plan.shards[0])
    assert job.finished() == {0: counts} and counts == Counts(4, 1)
    assert "class_id" in (tmp_path / "scores" / f"part-00000.{format}").read_text()
