import json
import pickle

import pytest

from savedmodel_export.scoring.job import Counts
from savedmodel_export.scoring.storage import Folder


def test_the_manifest(make_job, tmp_path):
    job = make_job(outputs=("logits",))
    manifest = json.loads((tmp_path / "scores" / "manifest.json").read_text())
    assert manifest["finished"] is False
    assert manifest["tables"] == ["part-00000.parquet", "part-00001.parquet"]
    assert len(manifest["class_names"]) == 10
    assert manifest["identity"]["batch_size"] == 4
    assert len(manifest["identity"]["model_card_sha256"]) == 64
    job.write_manifest(Counts(7, 2), finished=True)
    manifest = json.loads((tmp_path / "scores" / "manifest.json").read_text())
    assert (manifest["scored"], manifest["errors"], manifest["images"]) == (7, 2, 9)
    assert manifest["finished"] is True


def test_the_same_run_goes_on(make_job):
    make_job(outputs=("logits",), share=0.1)
    make_job(outputs=("logits",), share=0.2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 2}, "batch_size=4, not 2"),
        ({"top_k": 3}, "top_k=0, not 3"),
        ({"format": "csv"}, "format='parquet', not 'csv'"),
        ({"kind": "image"}, "model_card_sha256="),
        ({"shard_size": 2}, "images_sha256=.*shard_size=5, not 2"),
    ],
)
def test_other_settings_are_refused(make_job, changed, message):
    make_job()
    with pytest.raises(ValueError, match=f"holds the scores of another run: {message}"):
        make_job(**changed)


def test_other_images_are_refused(make_job, folder):
    make_job()
    (folder / "one_more.png").write_bytes(b"x")
    with pytest.raises(ValueError, match="images_sha256"):
        make_job()


def test_folders_of_others_are_left_alone(make_job, tmp_path):
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds files, but no manifest.*thesis.txt"):
        make_job()
    assert Folder(str(tmp_path / "scores")).names() == {"thesis.txt"}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"made_by": "me"}', "\x00"])
def test_manifests_of_others(make_job, tmp_path, content):
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match="manifest.json cannot be used"):
        make_job()
    assert (tmp_path / "scores" / "manifest.json").read_text() == content


def test_it_goes_to_other_machines(make_job):
    job = make_job()
    assert pickle.loads(pickle.dumps(job)).plan == job.plan


def test_the_errors_that_are_allowed(make_job):
    assert make_job(share=0.5).max_errors == 4
    assert make_job(share=0.0).max_errors == 0
