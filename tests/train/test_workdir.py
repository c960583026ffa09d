import os
import pathlib
import subprocess
import sys

import pytest

from train.workdir import Workdir, locked, read_json, write_text


def test_a_new_folder_is_marked(tmp_path):
    folder = tmp_path / "a" / "b"
    Workdir(folder).close()
    assert [path.name for path in folder.iterdir()] == [".training"]
    Workdir(folder).close()


def test_a_tilde_is_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Workdir("~/run").close()
    assert (tmp_path / "run" / ".training").exists()


@pytest.mark.parametrize(
    "name",
    ["config.json", "best.keras", "bundle.json", "results.json", "checkpoints/a.tmp"],
)
def test_a_folder_with_files_of_others_is_refused(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    message = f"holds {name.split('/')[0]}, which a run would replace"
    with pytest.raises(ValueError, match=message):
        Workdir(tmp_path)
    assert path.read_text() == "mine"
    assert not (tmp_path / ".training").exists()


def test_other_files_may_stand_beside_a_run(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    Workdir(tmp_path).close()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path):
    Workdir(tmp_path).close()
    kept = ["best.keras", ".notes.tmp", "checkpoints/epoch_0001", "checkpoints/my.tmp"]
    left = [".best.tmp.keras", ".config.tmp.json", "checkpoints/epoch_0002.tmp"]
    for name in (*kept, *left):
        path = tmp_path / name
        path.mkdir(parents=True) if "checkpoints/" in name else path.write_text("")
    Workdir(tmp_path).close()
    assert all((tmp_path / name).exists() for name in kept)
    assert not any((tmp_path / name).exists() for name in left)


def test_room_is_asked_for_what_is_not_there_yet(tmp_path, monkeypatch):
    workdir = Workdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "state").write_bytes(bytes(600))
    (tmp_path / "best.keras").write_bytes(bytes(200))
    usage = type("Usage", (), {"free": 300})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    workdir.check_space(needed=1_000, least=300)
    for needed, least in ((1_000, 301), (1_101, 300)):
        with pytest.raises(ValueError, match="has 0 MB free"):
            workdir.check_space(needed, least)
    workdir.close()


def test_the_lock_ends_with_its_process(tmp_path):
    code = (
        "import os, sys; from train.workdir import Workdir;"
        "Workdir(sys.argv[1]); os.kill(os.getpid(), 9)"
    )
    root = pathlib.Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=root)
    assert killed.returncode == -9
    first = Workdir(tmp_path)
    with pytest.raises(ValueError, match=f"in use by process {os.getpid()} "):
        Workdir(tmp_path)
    first.close()
    Workdir(tmp_path).close()


def test_locked_lets_one_in_at_a_time(tmp_path):
    code = (
        "import sys; from train.workdir import locked\n"
        "for _ in range(200):\n"
        "    with locked(sys.argv[1] + '/a/lock'):\n"
        "        path = sys.argv[1] + '/count'\n"
        "        number = int(open(path).read())\n"
        "        open(path, 'w').write(str(number + 1))"
    )
    (tmp_path / "count").write_text("0")
    root = pathlib.Path(__file__).parents[2]
    command = [sys.executable, "-c", code, tmp_path]
    processes = [subprocess.Popen(command, cwd=root) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "600"
    with locked(tmp_path / "a" / "lock"):
        pass


def test_text_is_there_whole_or_as_before(tmp_path, monkeypatch):
    path = tmp_path / "text.json"
    write_text(path, "old")

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.fsync", dies)
        write_text(path, "new, ä")
    assert path.read_text() == "old"
    write_text(path, "new, ä")
    assert path.read_text(encoding="utf-8") == "new, ä"


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "results.json"
    assert read_json(path) is None
    path.write_bytes(b'{"a": \xff')
    with pytest.raises(ValueError, match=r"results\.json is damaged: .*utf-8"):
        read_json(path)
