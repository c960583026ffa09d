import csv
import json

import pytest

from savedmodel_export.client.table import StandardOutput, Table

SETTINGS = {"model": "m", "batch_size": 8}
FILES = ["a.png", "b.png", "c.png"]
ROWS = [
    {"file": "a.png", "class": "cat", "class_id": 0, "probability": 0.5},
    {"file": "b.png", "error": "corrupt"},
    {"file": "c.png", "class": "dog", "class_id": 1, "probability": 0.25},
]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_two_tables(tmp_path):
    for suffix in ("csv", "jsonl"):
        folder = tmp_path / suffix
        folder.mkdir()
        table = Table(folder / f"out.{suffix}", SETTINGS)
        table.write(ROWS[:2])
        assert names(folder) == [f"out.{suffix}.partial"]
        table.write(ROWS[2:])
        assert table.finish(FILES) == 1
        assert set(names(folder)) == {f"out.errors.{suffix}", f"out.{suffix}"}
    with open(tmp_path / "csv" / "out.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["class"] for row in read] == ["cat", "dog"]
    assert float(read[1]["probability"]) == 0.25
    lines = (tmp_path / "jsonl" / "out.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [ROWS[0], ROWS[2]]
    errors = (tmp_path / "csv" / "out.errors.csv").read_text()
    assert errors == "file,error\nb.png,corrupt\n"


def test_no_table_of_no_errors(tmp_path):
    table = Table(tmp_path / "out.csv", SETTINGS)
    table.write(ROWS[:1])
    assert table.finish(FILES) == 0
    assert names(tmp_path) == ["out.csv"]


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_goes_on_where_it_was_cut(tmp_path, cut):
    table = Table(tmp_path / "out.csv", SETTINGS)
    table.write(ROWS[:2])
    table.close()
    journal = tmp_path / "out.csv.partial"
    content = journal.read_bytes()
    journal.write_bytes(content[: len(content) - cut])
    table = Table(tmp_path / "out.csv", SETTINGS)
    done = {"a.png": True} if cut else {"a.png": True, "b.png": False}
    assert table.done == done
    table.write(ROWS)
    table.finish(FILES)
    with open(tmp_path / "out.csv", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["a.png", "c.png"]


def test_every_place_of_a_kill_leaves_each_row_once(tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    table = Table(whole / "out.jsonl", SETTINGS)
    for row in ROWS:
        table.write([row])
    content = (whole / "out.jsonl.partial").read_bytes()
    table.finish(FILES)
    expected = (whole / "out.jsonl").read_bytes()
    for size in [*range(0, len(content), 5), len(content)]:
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / "out.jsonl.partial").write_bytes(content[:size])
        table = Table(folder / "out.jsonl", SETTINGS)
        table.write(ROWS)
        assert table.finish(FILES) == 1
        assert (folder / "out.jsonl").read_bytes() == expected
        assert names(folder) == ["out.errors.jsonl", "out.jsonl"]


def test_a_kill_between_the_tables(tmp_path):
    # The table of errors is there, the other is not, nor is the journal gone.
    table = Table(tmp_path / "out.csv", SETTINGS)
    table.write(ROWS)
    content = (tmp_path / "out.csv.partial").read_bytes()
    table.finish(FILES)
    (tmp_path / "out.csv").unlink()
    (tmp_path / "out.csv.partial").write_bytes(content)
    table = Table(tmp_path / "out.csv", SETTINGS)
    assert table.finish(FILES) == 1
    assert names(tmp_path) == ["out.csv", "out.errors.csv"]


@pytest.mark.parametrize("name", ["out.csv", "out.errors.csv", "out.csv.unfinished"])
def test_nothing_is_replaced(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=f"{name} exists"):
        Table(tmp_path / "out.csv", SETTINGS)
    assert (tmp_path / name).read_text() == "mine"


def test_a_link_is_not_followed(tmp_path):
    table = Table(tmp_path / "out.csv", SETTINGS)
    table.write(ROWS)
    (tmp_path / "precious.txt").write_text("mine")
    (tmp_path / "out.csv.unfinished").symlink_to("precious.txt")
    with pytest.raises(OSError):
        table.finish(FILES)
    assert (tmp_path / "precious.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "content",
    [b"mine\n", b"[]\n", b"{}\n", b"null\n", b"\xff\n", b'{"made_by": "else"}\n']
    + [b'{"made_by": "keras_concatplexer client"}\n{\n'],
)
def test_a_journal_of_something_else(tmp_path, content):
    journal = tmp_path / "out.csv.partial"
    journal.write_bytes(content)
    with pytest.raises(ValueError, match="is not the journal of a run, or damaged"):
        Table(tmp_path / "out.csv", SETTINGS)
    assert journal.read_bytes() == content


def test_other_settings(tmp_path):
    Table(tmp_path / "out.csv", SETTINGS).write(ROWS[:1])
    with pytest.raises(ValueError, match="batch_size=8, not 4. Go on with those"):
        Table(tmp_path / "out.csv", {**SETTINGS, "batch_size": 4})


def test_two_runs_at_once(tmp_path):
    first = Table(tmp_path / "out.csv", SETTINGS)
    second = Table(tmp_path / "out.csv", SETTINGS)
    first.write(ROWS[:1])
    for attempt in (
        lambda: Table(tmp_path / "out.csv", SETTINGS),
        lambda: second.write(ROWS[:1]),
    ):
        with pytest.raises(ValueError, match="Another run writes"):
            attempt()
    first.close()
    with pytest.raises(ValueError, match="Another run writes"):
        second.write(ROWS[:1])
    assert Table(tmp_path / "out.csv", SETTINGS).done == {"a.png": True}


def test_places_that_cannot_be(tmp_path):
    with pytest.raises(ValueError, match="the folder .*nowhere does not exist"):
        Table(tmp_path / "nowhere" / "out.csv", SETTINGS)
    with pytest.raises(ValueError, match="has the name of an image"):
        Table(tmp_path / "cat.JPG", SETTINGS)
    (tmp_path / "out.csv.partial").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="out.csv.partial: "):
        Table(tmp_path / "out.csv", SETTINGS)
    assert not (tmp_path / "elsewhere").exists()


def test_cells_that_are_no_formulas(tmp_path):
    starts = ["=1+1", "+1", "-1", "@SUM", "\t=1", "\r=1", "'a", "a=1"]
    rows = [{"file": s, "error": s} for s in starts]
    rows += [{**ROWS[0], "file": f"{s}.png", "class": s} for s in starts]
    table = Table(tmp_path / "out.csv", SETTINGS)
    table.write(rows)
    table.finish([row["file"] for row in rows])
    safe = [f"'{s}" for s in starts[:6]] + starts[6:]
    for name, column in (("out.csv", "class"), ("out.errors.csv", "file")):
        with open(tmp_path / name, newline="") as file:
            assert [row[column] for row in csv.DictReader(file)] == safe


def test_odd_names(tmp_path):
    odd = ["new\nline.png", 'quo"te,comma.png', "\udcff.png", "snow\N{SNOWMAN}.png"]
    for name in ("out.csv", "out.jsonl"):
        table = Table(tmp_path / name, SETTINGS)
        table.write([{**ROWS[0], "file": file} for file in odd])
        table.close()
        table = Table(tmp_path / name, SETTINGS)
        assert list(table.done) == odd
        table.finish(odd)
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        read = [row["file"] for row in csv.DictReader(file)]
    assert read == [*odd[:2], "\\udcff.png", odd[3]]
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["file"] for line in lines] == odd


def test_files_that_are_gone_are_left_out(tmp_path):
    table = Table(tmp_path / "out.jsonl", SETTINGS)
    table.write(ROWS)
    assert table.finish(["c.png"]) == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1


def test_standard_output(capsys):
    import sys

    table = StandardOutput(sys.stdout)
    table.write(ROWS)
    assert table.finish(FILES) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == ROWS
