"""The rows of a comparison in a file, each computed once."""

import json
import pathlib

from train.files import write_text


class Rows:
    """A JSON file with a list of rows, which a later call goes on with.

    Args:
        path: of the file; its folder is made if missing.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = json.loads(self.path.read_text()) if self.path.exists() else []

    def get(self, key, compute):
        """Returns the row with a key, and computes and writes it if there is none.

        Args:
            key: dict, what the row is of.
            compute: function that returns a dict, the rest of the row.
        """
        for row in self.rows:
            if key.items() <= row.items():
                return row
        self.rows.append({**key, **compute()})
        write_text(self.path, json.dumps(self.rows, indent=2) + "\n")
        return self.rows[-1]
