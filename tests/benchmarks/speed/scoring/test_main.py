import types

import pytest

from benchmarks.speed.rows import vit_row
from benchmarks.speed.scoring import __main__ as scoring
from benchmarks.speed.scoring.files import make_files


def test_the_table_shows_the_newest_result_of_a_row():
    row = {
        "row": "a",
        "images": 64,
        "repeats": 3,
        "alone": [10.0, 20.0, 30.0],
        "files": [9.0, 19.0, 40.0],
        "processor_seconds_files": 0.1,
        "processor_seconds_decode": 0.01,
    }
    text = scoring.rates_table([{**row, "files": [1.0]}, row])
    _, _, *lines = text.splitlines()
    assert lines == ["| a | 3 x 64 | 20.0 | 19.0 | 0.950 | 10.0 |"]


def test_rows_that_are_not_there(tmp_path):
    values = types.SimpleNamespace(
        out=tmp_path / "out", workdir=tmp_path / "work", rows="nothing", size="vit_b16"
    )
    with pytest.raises(ValueError, match="--rows=nothing is none of: vit_b16, float32"):
        scoring.main(values)


def test_files_are_made_once(tmp_path):
    paths = make_files(tmp_path, 3, 32)
    contents = [path.read_bytes() for path in paths]
    assert all(content.startswith(b"\xff\xd8\xff") for content in contents)
    assert len(set(contents)) == 3
    paths[1].unlink()
    paths[0].write_bytes(b"kept")
    assert make_files(tmp_path, 3, 32) == paths
    assert [path.read_bytes() for path in paths] == [b"kept", *contents[1:]]


@pytest.mark.large
def test_a_small_model(tmp_path):
    row = vit_row("vit_nano8", "float32", image_size=32)
    files = make_files(tmp_path / "images", 8, 32)
    versions = scoring.exports([row], tmp_path)
    assert scoring.exports([row], tmp_path) == versions
    values = types.SimpleNamespace(batch_size=4, repeats=2, seconds=0.01)
    measured = scoring.measure(row, versions[row.name], files, tmp_path, values)
    assert measured["images"] == 8
    assert len(measured["alone"]) == len(measured["files"]) == 2
    assert 0 < measured["processor_seconds_decode"]
    assert (tmp_path / "scores" / "part-00000.parquet").exists()
