import importlib
import types

import pytest

from benchmarks import folders

# Every command that writes, as a module with `main(values)`.
COMMANDS = (
    "demo",
    "curves",
    "speed.throughput",
    "speed.scaling",
    "speed.scoring.__main__",
    "speed.training_steps",
    "accuracy.multiplexers",
    "accuracy.slot_bias",
    "accuracy.interference",
    "accuracy.frontier",
    "adaptive.__main__",
)


@pytest.fixture
def foreign(tmp_path):
    """A checkout, say."""
    folder = tmp_path / "checkout"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: main")
    (folder / "vit").mkdir()
    (folder / "vit" / "notes.txt").write_text("mine")
    return folder


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_touches_a_folder_that_is_not_its_own(name, foreign):
    module = importlib.import_module(f"benchmarks.{name}")
    before = content(foreign)
    values = types.SimpleNamespace(
        workdir=str(foreign),
        out=str(foreign / "new.png" if name == "curves" else foreign),
        workdirs=["run"],
        quick=False,
        measure=False,
        protocol="A",
        dataset="digits",
        row=[],
        seeds=["0"],
        batch_sizes=["8"],
        seed=0,
    )
    with pytest.raises(ValueError, match="files that the benchmarks did not write"):
        module.main(values)
    assert content(foreign) == before


def test_new_and_empty_folders_are_marked_and_known_again(tmp_path):
    for folder in (tmp_path, tmp_path / "new" / "deeper"):
        assert folders.own(folder) == folder
        (folder / "result.json").write_text("{}")
        assert folders.own(str(folder)) == folder
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        folders.own(tmp_path / "file")


def test_only_the_parts_of_a_command_are_deleted(tmp_path, foreign):
    folder = folders.own(tmp_path / "demo")
    for name in ("vit", "kept"):
        (folder / name / "deep").mkdir(parents=True)
    (folder / "export").symlink_to(foreign)
    (folder / "notes.txt").write_text("mine")
    before = content(foreign)
    folders.own_anew(folder, ("vit", "export", "not there"))
    left = {path.name for path in folder.iterdir()}
    assert left == {"kept", "notes.txt", folders.MARK}
    assert content(foreign) == before


def test_the_results_of_the_project_carry_the_mark():
    from benchmarks.documents import RESULTS

    assert (RESULTS / folders.MARK).read_text() == folders.MARK_TEXT
