import pytest

from benchmarks import documents

LIMIT = 200_000


@pytest.mark.parametrize("document", documents.DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_those_of_the_files(document):
    text = document.read_text()
    assert "<!-- table: throughput" in text
    assert documents.render(text) == text, "run `python -m benchmarks.documents`"


def test_results_are_small():
    large = {
        path.name: path.stat().st_size
        for path in documents.RESULTS.rglob("*")
        if path.is_file() and path.stat().st_size >= LIMIT
    }
    assert not large


def test_only_what_is_marked_is_replaced(tmp_path):
    text = "a\n<!-- table: t -->\nold\n<!-- end -->\nb\n<!-- end -->\n"
    tables = {"t": lambda folder: f"new {folder.name}"}
    rendered = documents.render(text, tmp_path, tables)
    assert rendered == text.replace("old", f"new {tmp_path.name}")
    assert documents.render(rendered, tmp_path, tables) == rendered
    with pytest.raises(ValueError, match="one of t. Received: u"):
        documents.render(text.replace(": t", ": u"), tmp_path, tables)
