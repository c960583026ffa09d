import csv
import io
import json

import pyarrow.parquet
import pytest

from savedmodel_export.scoring.tables import (
    ERRORS,
    FORMATS,
    TableWriter,
    count_rows,
    scores_schema,
    text,
)

ROWS = {
    "key": ["a.png", "=new\nline.png", 'quo"te.png'],
    "class_id": [0, 1, 1],
    "class": ["cat", "@dog", "@dog"],
    "probability": [0.5, 0.25, 1.0],
    "top_class_ids": [[0, 1], [1, 0], [1, 0]],
    "top_classes": [["cat", "@dog"], ["@dog", "cat"], ["@dog", "cat"]],
    "top_probabilities": [[0.5, 0.25], [0.25, 0.125], [1.0, 0.0]],
    "logits": [[0.5, -1.5], [2.0, 3.0], [4.0, 5.0]],
}


def written(format):
    file = io.BytesIO()
    writer = TableWriter(file, scores_schema(["logits"], top_k=2), format)
    writer.write({name: column[:2] for name, column in ROWS.items()})
    writer.write({name: column[2:] for name, column in ROWS.items()})
    writer.close()
    return io.BytesIO(file.getvalue())


@pytest.mark.parametrize("format", FORMATS)
def test_every_row_is_written(format):
    file = written(format)
    assert count_rows(file, format) == 3
    file.seek(0)
    if format == "parquet":
        assert pyarrow.parquet.read_table(file).to_pydict() == ROWS
    elif format == "jsonl":
        rows = [json.loads(line) for line in file]
        assert {name: [row[name] for row in rows] for name in ROWS} == ROWS
    else:
        rows = list(csv.DictReader(io.StringIO(file.read().decode(), newline="")))
        assert [row["key"] for row in rows] == [
            "a.png",
            "'=new\nline.png",
            'quo"te.png',
        ]
        assert [row["class"] for row in rows] == ["cat", "'@dog", "'@dog"]
        for name in ("top_class_ids", "top_classes", "logits"):
            assert [json.loads(row[name]) for row in rows] == ROWS[name]


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_table_is_one(format):
    file = io.BytesIO()
    writer = TableWriter(file, ERRORS, format)
    writer.write({"key": [], "reason": []})
    writer.close()
    assert count_rows(io.BytesIO(file.getvalue()), format) == 0


def test_columns_follow_what_is_asked():
    assert scores_schema().names == ["key", "class_id", "class", "probability"]
    assert scores_schema(["features"]).names[-1] == "features"


def test_odd_bytes_of_a_name_are_written_out():
    assert text("a\udcff.png") == "a\\udcff.png"
    assert text("snow\N{SNOWMAN}") == "snow\N{SNOWMAN}"
