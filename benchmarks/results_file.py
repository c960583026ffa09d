"""Results that grow: one JSON object a line, appended as soon as it is there."""

import fcntl
import json
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
        # A last line without its end was cut off while it was written: no row.
        lines = self.path.read_text().split("\n")[:-1]
        rows = []
        for number, line in enumerate(lines, start=1):
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
        """Adds a row; a line that an earlier process left unfinished goes."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write((json.dumps(row) + "\n").encode())
