"""The same tables by Apache Beam; skipped where it is not installed."""

import pyarrow.parquet
import pytest

from savedmodel_export.scoring import local_runner
from savedmodel_export.scoring.progress import Progress

pytest.importorskip("apache_beam")


def tables(folder):
    return {
        path.name: pyarrow.parquet.read_table(path).to_pydict()
        for path in sorted(folder.glob("*.parquet"))
    }


@pytest.mark.parametrize("kind", ["group", "image"])
def test_the_same_tables(make_job, tmp_path, kind):
    from savedmodel_export.scoring import beam_runner

    local = make_job(kind, output="local")
    with Progress(9) as progress:
        local_runner.run(local, progress)
    one = make_job(kind, output="one")
    beam_runner.run(one, "DirectRunner", ["--direct_running_mode=in_memory"])
    expected = tables(tmp_path / "local")
    assert len(expected) == 4
    assert tables(tmp_path / "one") == expected
    assert one.finished() == local.finished()
    # What is finished is not scored again.
    job = make_job(kind, output="one")
    beam_runner.run(job, "NoSuchRunner", [])


@pytest.mark.large
def test_several_processes(make_job, tmp_path):
    from savedmodel_export.scoring import beam_runner

    local = make_job(output="local", shard_size=2)
    with Progress(9) as progress:
        local_runner.run(local, progress)
    two = make_job(output="two", shard_size=2)
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    beam_runner.run(two, "DirectRunner", options)
    assert tables(tmp_path / "two") == tables(tmp_path / "local")
