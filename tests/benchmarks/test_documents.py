import pytest

from benchmarks import documents

LIMIT = 200_000


@pytest.mark.parametrize("document", documents.DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_those_of_the_files(document):
    text = document.read_text()
    assert documents.render(text) == text, "run `python -m benchmarks.documents`"


def test_results_are_small():
    large = {
        path.name: path.stat().st_size
        for path in documents.RESULTS.rglob("*")
        if path.is_file() and path.stat().st_size >= LIMIT
    }
    assert not large


def test_only_what_is_marked_is_replaced(tmp_path):
    (tmp_path / "frontier.md").write_text("| new |\n")
    text = "a\n<!-- table: frontier -->\nold\n<!-- end -->\nb\n<!-- end -->\n"
    rendered = documents.render(text, tmp_path)
    assert rendered == text.replace("old", "| new |")
    assert documents.render(rendered, tmp_path) == rendered
    with pytest.raises(ValueError, match="one of throughput, .*frontier. Received: u"):
        documents.render(text.replace(": frontier", ": u"), tmp_path)
