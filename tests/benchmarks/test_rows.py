import json

import pytest

from benchmarks.rows import Rows


def test_a_row_is_computed_once(tmp_path):
    path = tmp_path / "new" / "rows.json"
    keys = [{"name": "a", "seed": seed} for seed in (0, 1)]
    for key in keys:
        Rows(path).get(key, lambda key=key: {"value": key["seed"] + 10})
    again = Rows(path)
    assert [again.get(key, pytest.fail)["value"] for key in keys] == [10, 11]
    assert json.loads(path.read_text()) == again.rows


def test_what_fails_leaves_no_row(tmp_path):
    rows = Rows(tmp_path / "rows.json")
    with pytest.raises(ZeroDivisionError):
        rows.get({"name": "a"}, lambda: {"value": 1 / 0})
    assert rows.rows == [] and not rows.path.exists()
