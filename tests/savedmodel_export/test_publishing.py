import threading

import pytest

from savedmodel_export.publishing import publish, unfinished_version


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
