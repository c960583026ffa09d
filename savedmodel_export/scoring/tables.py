"""Tables of scores and errors, written row group by row group."""

import json

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet

from savedmodel_export.client.table import safe_cell

FORMATS = ("parquet", "csv", "jsonl")
VECTORS = ("logits", "probabilities", "features")
ERRORS = pa.schema([("key", pa.string()), ("reason", pa.string())])


def scores_schema(outputs=(), top_k=0, has_classes=True):
    """Returns the columns of a table of scores.

    Args:
        outputs: sequence of `VECTORS`, columns of lists.
        top_k: int. Length of the lists of the most probable classes; 0 for none.
        has_classes: bool. Whether the model is a classifier.
    """
    columns = [("key", pa.string())]
    if has_classes:
        columns += [
            ("class_id", pa.int32()),
            ("class", pa.string()),
            ("probability", pa.float32()),
        ]
    if top_k:
        columns += [
            ("top_class_ids", pa.list_(pa.int32())),
            ("top_classes", pa.list_(pa.string())),
            ("top_probabilities", pa.list_(pa.float32())),
        ]
    return pa.schema(columns + [(name, pa.list_(pa.float32())) for name in outputs])


class TableWriter:
    """Writes a table in one of `FORMATS`.

    Args:
        file: binary file to write to.
        schema: `pyarrow.Schema`.
        format: str.
    """

    def __init__(self, file, schema, format):
        self._file, self._schema, self._format = file, schema, format
        self._flat = pa.schema([_flat_field(field) for field in schema])
        self._writer = None
        if format == "parquet":
            self._writer = pyarrow.parquet.ParquetWriter(file, schema)
        elif format == "csv":
            self._writer = pyarrow.csv.CSVWriter(file, self._flat)

    def write(self, columns):
        """Writes rows.

        Args:
            columns: dict, name -> list with one value per row.
        """
        if self._format == "csv":
            flat = {name: list(map(_flat, column)) for name, column in columns.items()}
            self._writer.write_table(pa.table(flat, self._flat))
            return
        table = pa.table(columns, self._schema)
        if self._format == "parquet":
            self._writer.write_table(table)
            return
        for row in table.to_pylist():
            self._file.write(json.dumps(row).encode() + b"\n")

    def close(self):
        """Writes what ends the table; the file stays open."""
        if self._writer is not None:
            self._writer.close()


def count_rows(file, format):
    """Returns the number of rows of a table."""
    if format == "parquet":
        return pyarrow.parquet.read_metadata(file).num_rows
    if format == "jsonl":
        return sum(1 for _ in file)
    options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    return pyarrow.csv.read_csv(file, parse_options=options).num_rows


def text(value):
    """Returns a str that can be stored: odd bytes of a file's name are written out."""
    return value.encode("utf-8", "backslashreplace").decode()


def _flat_field(field):
    return pa.field(field.name, pa.string()) if pa.types.is_list(field.type) else field


def _flat(value):
    """What stands in a cell: a list as JSON, no formula."""
    return json.dumps(value) if isinstance(value, list) else safe_cell(value)
