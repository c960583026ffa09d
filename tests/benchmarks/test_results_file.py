import concurrent.futures

import pytest

from benchmarks.results_file import ResultsFile


def test_rows_come_back_in_order_and_by_their_values(tmp_path):
    results = ResultsFile(tmp_path / "new" / "rows.jsonl")
    assert results.rows() == []
    rows = [{"name": name, "settings": {"epochs": n}} for n, name in enumerate("aba")]
    for row in rows:
        results.append(row)
    assert results.rows() == rows
    assert results.select(name="a") == [rows[0], rows[2]]
    assert results.select(name="a", settings={"epochs": 2}) == [rows[2]]
    assert results.select(seed=0) == []


def test_writers_side_by_side_do_not_cut_lines(tmp_path):
    path = tmp_path / "rows.jsonl"

    def write(writer):
        for _ in range(50):
            ResultsFile(path).append({"writer": writer, "text": "x" * 2_000 + "!"})

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    rows = ResultsFile(path).rows()
    assert len(rows) == 200 and all(row["text"].endswith("!") for row in rows)


def test_a_line_that_was_cut_off_is_no_row(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"name": "a"}\n{"name": "b", "accu')
    results = ResultsFile(path)
    assert results.rows() == [{"name": "a"}]
    results.append({"name": "b"})
    assert results.rows() == [{"name": "a"}, {"name": "b"}]


@pytest.mark.parametrize("line", ['{"name": "a"', "[1, 2]", "3"])
def test_a_bad_line_is_named(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"name": "a"}\n' + line + "\n")
    with pytest.raises(ValueError, match="line 2: expected a JSON object"):
        ResultsFile(path).rows()
