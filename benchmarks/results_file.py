"""Results that grow: one JSON object a line, appended as soon as it is there."""

import json
import os
import pathlib


class ResultsFile:
    """Rows in a `.jsonl` file that several processes may append to at once.

    Args:
        path: of the file; it and its folder are made with the first row.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def rows(self):
        """Returns the rows, list of dict, oldest first.

        Raises:
            ValueError: if a line is not a JSON object.
        """
        if not self.path.exists():
            return []
        rows = []
        for number, line in enumerate(self.path.read_text().splitlines(), start=1):
            try:
                rows.append(dict(json.loads(line)))
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{self.path}, line {number}: expected a JSON object, as a row of "
                    f"results is. Mend or remove the line. Received: {line[:80]!r}"
                ) from error
        return rows

    def select(self, **key):
        """Returns the rows that have all these values."""
        return [
            row
            for row in self.rows()
            if all(row.get(name) == value for name, value in key.items())
        ]

    def get(self, key, compute):
        """Returns the row with a key, and computes and appends it if there is none.

        Args:
            key: dict, what the row is of.
            compute: function that returns a dict, the rest of the row.
        """
        done = self.select(**key)
        if done:
            return done[0]
        row = {**key, **compute()}
        self.append(row)
        return row

    def append(self, row):
        """Adds a row, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = (json.dumps(row) + "\n").encode()
        # One write to a file opened for appending: no process cuts another's line.
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line)
        finally:
            os.close(file)
