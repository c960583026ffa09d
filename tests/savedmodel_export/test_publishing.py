import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from savedmodel_export.publishing import (
    delete_abandoned,
    prune,
    publish,
    unfinished_version,
)

# Publishes versions of several files for ever; the last file makes one complete.
ENDLESS = """
import sys
from savedmodel_export.publishing import prune, publish, unfinished_version

while True:
    with unfinished_version(sys.argv[1]) as folder:
        (folder / "variables").mkdir()
        for index in range(20):
            (folder / "variables" / str(index)).write_bytes(bytes(50_000))
        (folder / "complete").write_text("yes")
        publish(folder)
    prune(sys.argv[1], 3)
    print("published", flush=True)
"""


def test_a_crash_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), unfinished_version(tmp_path) as folder:
        (folder / "saved_model.pb").write_text("half")
        assert not folder.name.isdecimal()
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_exporters_at_once_take_different_numbers(tmp_path):
    start = threading.Barrier(8)
    versions = []

    def export(index):
        with unfinished_version(tmp_path) as folder:
            (folder / "saved_model.pb").write_text(str(index))
            start.wait()
            versions.append(publish(folder))

    threads = [threading.Thread(target=export, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(v.name) for v in versions) == list(range(1, 9))
    contents = {(v / "saved_model.pb").read_text() for v in versions}
    assert contents == {str(i) for i in range(8)}


def test_killed_exporters_leave_only_complete_versions(tmp_path):
    rng = random.Random(0)
    for _ in range(5):
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
        time.sleep(rng.uniform(0, 0.2))
        for exporter in exporters:
            assert exporter.poll() is None, exporter.stderr.read()
            exporter.send_signal(signal.SIGKILL)
            exporter.communicate()
        versions = [path for path in tmp_path.iterdir() if path.name.isdecimal()]
        assert len(versions) >= 2
        for version in versions:
            assert (version / "complete").read_text() == "yes"
            assert len(list((version / "variables").iterdir())) == 20
    with unfinished_version(tmp_path) as folder:
        left = {path.name for path in tmp_path.iterdir() if not path.name.isdecimal()}
        assert left == {folder.name}


def test_a_living_exporters_folder_stays(tmp_path):
    (tmp_path / "unfinished-abandoned").mkdir()
    with unfinished_version(tmp_path) as folder:
        (folder / "half").write_text("")
        delete_abandoned(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
        assert (folder / "half").exists()


def test_pruning_keeps_the_newest_and_the_protected(tmp_path):
    for name in ("1", "2", "9", "10", "11", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    assert [path.name for path in prune(tmp_path, 2, protected={2})] == ["1", "9"]
    assert {path.name for path in tmp_path.iterdir()} == {"2", "10", "11", "notes"}
