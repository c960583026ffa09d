import fsspec
import pytest

from savedmodel_export.scoring.storage import Folder


@pytest.fixture(params=["path", "file", "memory"])
def folder(request, tmp_path):
    start = {"path": "", "file": "file://", "memory": "memory://"}[request.param]
    yield Folder(f"{start}{tmp_path}/scores")
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()


def test_a_file_appears_when_it_is_complete(folder):
    assert folder.names() == set()
    folder.make()
    with folder.writing("a.txt") as file:
        file.write(b"half")
        assert "a.txt" not in folder.names()
        file.write(b" whole")
    assert folder.names() == {"a.txt"}
    assert folder.read("a.txt") == b"half whole"
    with folder.open("a.txt") as file:
        assert file.read(4) == b"half"
    with folder.writing("a.txt") as file:
        file.write(b"new")
    assert folder.read("a.txt") == b"new"


def test_nothing_is_left_of_a_failure(folder):
    folder.make()
    with pytest.raises(KeyError), folder.writing("a.txt") as file:
        file.write(b"half")
        raise KeyError
    assert folder.names() == set()


def test_what_a_kill_leaves_is_removed(folder):
    folder.make()
    for name in (".a.txt.0123.unfinished", "mine.txt"):
        with folder.writing(name) as file:
            file.write(b"x")
    folder.remove_unfinished()
    assert folder.names() == {"mine.txt"}


def test_what_is_local(tmp_path):
    assert Folder(str(tmp_path)).is_local and Folder(f"file://{tmp_path}").is_local
    assert not Folder("memory://x").is_local
    assert Folder(f"file://{tmp_path}").path == str(tmp_path)
