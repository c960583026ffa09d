import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from savedmodel_export.publishing import (
    LARGEST_VERSION,
    WORK_FOLDER,
    exclusive,
    prune,
    publish,
    replace_file,
    sync,
    unfinished_version,
    versions,
)

# Publishes versions of several files for ever; the last file makes one complete.
ENDLESS = """
import json, pathlib, sys
from savedmodel_export.publishing import exclusive, prune, publish, unfinished_version

while True:
    with unfinished_version(sys.argv[1]) as folder:
        (folder / "variables").mkdir()
        for index in range(20):
            (folder / "variables" / str(index)).write_bytes(bytes(50_000))
        card = json.dumps({"versions": {"keras_concatplexer": "0.1"}})
        (folder / "model_card.json").write_text(card)
        with exclusive(sys.argv[1]) as root:
            publish(folder, root)
            prune(root, 3)
    print("published", flush=True)
"""


def visible(root):
    return {path.name for path in root.iterdir()} - {WORK_FOLDER}


def unfinished(root):
    return {path.name for path in (root / WORK_FOLDER).iterdir()} - {"lock"}


def test_a_crash_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), unfinished_version(tmp_path) as folder:
        (folder / "saved_model.pb").write_text("half")
        assert not visible(tmp_path)
        raise KeyError
    assert not visible(tmp_path) and not unfinished(tmp_path)


def test_exporters_at_once_take_different_numbers(tmp_path):
    start = threading.Barrier(8)
    published = []

    def export(index):
        with unfinished_version(tmp_path) as folder:
            (folder / "saved_model.pb").write_text(str(index))
            start.wait()
            with exclusive(tmp_path) as root:
                published.append(publish(folder, root))

    threads = [threading.Thread(target=export, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(v.name) for v in published) == list(range(1, 9))
    contents = {(v / "saved_model.pb").read_text() for v in published}
    assert contents == {str(i) for i in range(8)}


@pytest.mark.parametrize("rounds", [2, pytest.param(60, marks=pytest.mark.large)])
def test_killed_exporters_leave_only_complete_versions(tmp_path, rounds):
    rng = random.Random(0)
    for _ in range(rounds):
        # Two at once: they must not take each other's folder for abandoned.
        exporters = [
            subprocess.Popen(
                [sys.executable, "-c", ENDLESS, str(tmp_path)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(2)
        ]
        for exporter in exporters:
            assert exporter.stdout.readline() == b"published\n", exporter.stderr.read()
        time.sleep(rng.uniform(0, 0.1))
        for exporter in exporters:
            assert exporter.poll() is None, exporter.stderr.read()
            exporter.send_signal(signal.SIGKILL)
            exporter.communicate()
        # A kill between publishing and pruning leaves one more.
        assert 2 <= len(visible(tmp_path)) <= 5
        for name in visible(tmp_path):
            assert (tmp_path / name / "model_card.json").exists()
            assert len(list((tmp_path / name / "variables").iterdir())) == 20
    with unfinished_version(tmp_path) as folder:
        assert unfinished(tmp_path) == {folder.name}


def test_a_living_exporters_folder_stays_and_leftovers_go(tmp_path):
    with unfinished_version(tmp_path) as folder:
        (folder / "half").write_text("")
        (tmp_path / WORK_FOLDER / "version-abandoned").mkdir()
        (tmp_path / WORK_FOLDER / "deleted-3").mkdir()
        (tmp_path / WORK_FOLDER / "new-models.config").write_text("half")
        with exclusive(tmp_path):
            assert unfinished(tmp_path) == {folder.name}
        assert (folder / "half").exists()


def test_folders_of_others_stay(tmp_path, fill):
    names = ("unfinished-novel", "2022", "007", "٣", "9" * 30, "photos")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("precious")
    (tmp_path / "2022" / "model_card.json").write_text('{"title": "of another tool"}')
    with exclusive(tmp_path) as root:
        # The server would take 2022 for a version; a new one must be newer.
        assert publish(fill(tmp_path / "built"), root).name == "2023"
        assert publish(fill(tmp_path / "built"), root).name == "2024"
        assert versions(root) == [2023, 2024]
        assert prune(root, 1) == [2023]
    assert visible(tmp_path) == {*names, "2024"}
    assert all((tmp_path / name / "file").exists() for name in names)


def test_pruning_keeps_the_newest_and_the_named(tmp_path, fill):
    for number in (1, 2, 9, 10, 11):
        fill(tmp_path / str(number))
    with exclusive(tmp_path) as root:
        assert prune(root, 2, named={2}) == [1, 9]
    assert visible(tmp_path) == {"2", "10", "11"}
    assert not unfinished(tmp_path)


def test_a_damaged_card_is_named_and_its_version_stays(tmp_path, fill, caplog):
    fill(tmp_path / "2")
    for number, text in {1: "{", 3: '{"a": ', 4: "[" * 100_000}.items():
        card = fill(tmp_path / str(number)) / "model_card.json"
        card.write_text(text)
        caplog.clear()
        assert versions(tmp_path) == [2]
        assert str(card) in caplog.text
    fill(tmp_path / "5")
    with exclusive(tmp_path) as root:
        assert prune(root, 1) == [2]
    assert visible(tmp_path) == {"1", "3", "4", "5"}


def test_the_largest_version(tmp_path, fill):
    (tmp_path / str(LARGEST_VERSION)).mkdir()
    with exclusive(tmp_path) as root, pytest.raises(ValueError, match="largest"):
        publish(fill(tmp_path / "built"), root)


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "serve.sh"
    with exclusive(tmp_path) as root:
        for text in ("first é", "second"):
            replace_file(path, text, root, 0o755)
            assert path.read_text("utf-8") == text
    assert path.stat().st_mode & 0o777 == 0o755
    assert not unfinished(tmp_path)


def test_all_files_reach_the_disk(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        "savedmodel_export.publishing._sync_one", lambda path: written.append(str(path))
    )
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables" / "data").write_text("")
    sync(tmp_path)
    expected = {"", "/variables", "/variables/data"}
    assert set(written) == {f"{tmp_path}{name}" for name in expected}
