"""The command, in this process and by processes that are killed."""

import json
import os
import signal
import subprocess
import sys
import time
import types

import pyarrow.parquet
import pytest
from absl import flags

from savedmodel_export.scoring import command, local_runner
from savedmodel_export.scoring.storage import Folder


@pytest.fixture
def run(monkeypatch, make_served, folder, tmp_path):
    """Function: flags -> the message of the command at its end, empty at success."""

    def run(*options, **chosen):
        values = {
            "num_mux": None,
            "threads": None,
            "data_dir": None,
            "key_feature": None,
            "format": "parquet",
            "top_k": 0,
            "outputs": [],
            "runner": None,
            "model": str(make_served("image").version),
            "input": str(folder),
            "output": str(tmp_path / "scores"),
            "batch_size": 4,
            "shard_size": 5,
            "max_error_share": 0.5,
            **chosen,
        }
        with monkeypatch.context() as patch:
            patch.setattr(flags, "FLAGS", types.SimpleNamespace(**values))
            patch.setattr(signal, "signal", lambda *arguments: None)
            try:
                command.main(*options)
            except SystemExit as end:
                return str(end)
        return ""

    return run


@pytest.fixture
def with_quick_model(monkeypatch, quick_model):
    """The command's own work is what is tested."""
    monkeypatch.setattr(command.Job, "load_model", lambda job: quick_model)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def keys(folder):
    tables = sorted(folder.glob("part-*.parquet"))
    read = (pyarrow.parquet.read_table(table)["key"].to_pylist() for table in tables)
    return [key for table in read for key in table]


def test_a_folder_of_images(run, tmp_path, capsys):
    assert run() == ""
    scores = tmp_path / "scores"
    assert names(scores) == [
        *(f"errors-0000{i}.parquet" for i in (0, 1)),
        "manifest.json",
        *(f"part-0000{i}.parquet" for i in (0, 1)),
    ]
    assert keys(scores) == [f"{i}.png" for i in (0, 1, 2, 4, 5, 6, 8)]
    said = capsys.readouterr().err
    assert "9 of 9 images" in said
    assert said.endswith(f"7 images scored, 2 errors: {scores}\n")
    manifest = json.loads((scores / "manifest.json").read_text())
    assert manifest["finished"] and manifest["scored"] == 7


@pytest.mark.usefixtures("with_quick_model")
def test_what_is_finished_is_not_scored_again(run, tmp_path, monkeypatch, capsys):
    run()
    scores = tmp_path / "scores"
    before = {path: path.stat().st_mtime_ns for path in scores.glob("*.parquet")}
    (scores / "part-00001.parquet").unlink()
    (scores / ".part-00001.parquet.0.unfinished").touch()
    assert run() == ""
    assert "5 images are done" in capsys.readouterr().err
    after = {path: path.stat().st_mtime_ns for path in scores.glob("*.parquet")}
    assert {path.name for path in before if before[path] != after[path]} == {
        "part-00001.parquet",
        "errors-00001.parquet",
    }
    assert not list(scores.glob(".*"))
    monkeypatch.setattr(command.Job, "load_model", None)
    assert run() == ""


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"input": "nothing"}, "--input=nothing does not exist"),
        ({"model": "nothing"}, "--model=nothing is no SavedModel"),
        ({"num_mux": 3}, "has no signature serve_bytes_n3"),
        ({"outputs": ["scores"]}, "has no output scores"),
    ],
)
def test_one_line_says_what_is_wrong(run, chosen, message):
    told = run(**chosen)
    assert told.startswith("error: ") and message in told


@pytest.mark.usefixtures("with_quick_model")
def test_too_many_errors(run):
    told = run(max_error_share=0.01)
    assert told.startswith("error: 1 of 9 images cannot be scored, more than")


def test_flags_for_nobody(run):
    assert "Unknown flags: --flink_master=x" in run("--flink_master=x")


def test_two_runs_at_once(run, tmp_path):
    (tmp_path / "scores").mkdir()
    with command._locked(Folder(str(tmp_path / "scores"))):
        assert "Another run writes to" in run()


def test_a_full_disk(run, monkeypatch, tmp_path):
    def full(job, progress):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(local_runner, "run", full)
    assert run() == "error: [Errno 28] No space left on device"
    monkeypatch.undo()


def test_an_empty_record_file(run, tmp_path):
    (tmp_path / "a.tfrecord").touch()
    message = run(input=f"tfrecord:{tmp_path}/a.tfrecord")
    assert "holds no image" in message


@pytest.mark.usefixtures("with_quick_model")
def test_a_remote_folder(run, folder):
    import fsspec

    files = fsspec.filesystem("memory")
    for path in folder.iterdir():
        files.pipe(f"/bucket/images/{path.name}", path.read_bytes())
    assert run(input="memory://bucket/images", output="memory://bucket/scores") == ""
    remote = Folder("memory://bucket/scores")
    assert "part-00001.parquet" in remote.names()
    with remote.open("part-00000.parquet") as file:
        assert pyarrow.parquet.read_table(file).num_rows == 4
    files.store.clear()


def process(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "savedmodel_export.scoring", *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_help_needs_no_tensorflow():
    start = os.times().children_user
    assert "--max_error_share" in process("--help").communicate()[0]
    assert os.times().children_user - start < 1


@pytest.mark.large
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_goes_on_after_an_interruption(make_served, encoded, tmp_path, how):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3000):
        (folder / f"{i:04}.png").write_bytes(encoded[i % len(encoded)])
    chosen = [f"--model={make_served('group').version}", f"--input={folder}"]
    chosen += ["--shard_size=100", "--batch_size=8"]
    scores = tmp_path / "scores"
    running = process(*chosen, f"--output={scores}")
    while len(list(scores.glob("part-*"))) < 3:
        assert running.poll() is None, running.communicate()
        time.sleep(0.02)
    running.send_signal(how)
    said = running.communicate()[1]
    assert "Traceback" not in said
    if how == signal.SIGTERM:
        assert "error: terminated. The tables that are there are complete" in said
    assert 0 < len(list(scores.glob("part-*"))) < 30
    again = process(*chosen, f"--output={scores}")
    assert again.wait(300) == 0
    whole = process(*chosen, f"--output={tmp_path / 'whole'}")
    assert whole.wait(300) == 0
    assert names(scores) == names(tmp_path / "whole")
    for name in names(scores):
        if name.endswith(".parquet"):
            one = pyarrow.parquet.read_table(scores / name)
            assert one.equals(pyarrow.parquet.read_table(tmp_path / "whole" / name))


def test_flags_that_have_no_use_here(run, monkeypatch, tmp_path):
    assert "--data_dir belongs to --input=tfds:" in run(data_dir="data")
    assert "--key_feature belongs to --input=tfrecord:" in run(key_feature="name")
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    message = run(runner="DirectRunner")
    assert "needs Apache Beam, which is not installed" in message
    assert "scores" not in names(tmp_path)
