"""The files of a run's answers: a journal while it goes, two tables at its end."""

import csv
import fcntl
import json
import os
import pathlib

from savedmodel_export.image_names import has_image_name

COLUMNS = ("file", "class", "class_id", "probability")
# Of a model without classes; in CSV a cell holds the list as JSON.
FEATURES_COLUMNS = ("file", "features")
ERROR_COLUMNS = ("file", "error")
MARK = "keras_concatplexer client"
# A spreadsheet takes a cell that starts with one of these for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Table:
    """Collects rows in a journal and makes the tables of them at the end.

    The journal is `OUTPUT.partial`, JSON lines behind one line of settings. A run that
    was ended leaves it, and the next one with the same settings goes on from there. At
    the end the rows become `OUTPUT`, and those with an error `STEM.errors.SUFFIX`
    beside it: CSV for `*.csv`, else JSON lines. Both are written under another name
    first, so that what has its name is complete.

    Args:
        output: path. It must not exist.
        settings: dict of JSON values. What a row depends on beside its file.

    Attributes:
        done: dict, file -> whether it has an answer, for the rows of earlier runs.
        path, errors_path: the paths of the tables.

    Raises:
        ValueError: if the output exists, cannot be written, belongs to another run or
            is written by one.
    """

    def __init__(self, output, settings):
        self.path = pathlib.Path(output)
        self.errors_path = self.errors_path_of(output)
        self.done = {}
        self._journal_path = self.path.with_name(f"{self.path.name}.partial")
        self._settings = json.loads(json.dumps({"made_by": MARK, **settings}))
        self._journal = None
        self._check_paths()
        if os.path.lexists(self._journal_path):
            self._open()
            self._read()

    @staticmethod
    def errors_path_of(output):
        """Returns the path of the table of errors of an output."""
        path = pathlib.Path(output)
        return path.with_name(f"{path.stem}.errors{path.suffix}")

    def write(self, rows):
        """Adds rows to the journal, except those of files that are in it."""
        if self._journal is None:
            self._open()
            if os.fstat(self._journal.fileno()).st_size:
                self._journal.close()
                self._journal = None
                raise ValueError(f"Another run writes {self._journal_path}.")
        rows = [row for row in rows if row["file"] not in self.done]
        self._append(rows if self._journal.tell() else [self._settings, *rows])
        self.done.update((row["file"], "error" not in row) for row in rows)

    def finish(self, files):
        """Makes the tables of the rows of these files, and removes the journal.

        Args:
            files: collection of str. The journal may hold files that are gone.

        Returns:
            The number of files with an error.
        """
        if self._journal is None:
            self.write([])
        files = set(files)
        rows = [row for row in self._rows() if row["file"] in files]
        wrong = [row for row in rows if "error" in row]
        if wrong:
            self._make(self.errors_path, ERROR_COLUMNS, wrong)
        right = [row for row in rows if "error" not in row]
        has_features = any("features" in row for row in right)
        columns = FEATURES_COLUMNS if has_features else COLUMNS
        self._make(self.path, columns, right)
        self._journal_path.unlink()
        return len(wrong)

    def close(self):
        """Closes the journal."""
        if self._journal is not None:
            self._journal.close()

    def _check_paths(self):
        folder = self.path.parent
        if not folder.is_dir():
            raise ValueError(f"--output: the folder {folder} does not exist.")
        if not os.access(folder, os.W_OK):
            raise ValueError(f"--output: the folder {folder} is not writable.")
        if has_image_name(self.path.name):
            raise ValueError(f"--output={self.path} has the name of an image.")
        if os.path.lexists(self._journal_path):
            return  # What else there is was made by the run that the journal is of.
        tables = (self.path, self.errors_path)
        for path in (*tables, *map(_unfinished, tables)):
            if os.path.lexists(path):
                raise ValueError(
                    f"{path} exists. Choose another --output, or delete it."
                )

    def _open(self):
        try:
            descriptor = os.open(
                self._journal_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666
            )
        except OSError as error:
            raise ValueError(f"{self._journal_path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise ValueError(f"Another run writes {self._journal_path}.") from error
        self._journal = os.fdopen(descriptor, "r+b")

    def _read(self):
        content = self._journal.read()
        # What a kill has cut is asked again.
        whole = content[: content.rfind(b"\n") + 1]
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
            if lines and lines[0].get("made_by") != MARK:
                raise ValueError("the first line is not one of this program")
            self.done = {row["file"]: "error" not in row for row in lines[1:]}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{self._journal_path} is not the journal of a run, or damaged "
                f"({error}). Move it away to start anew."
            ) from error
        if lines and lines[0] != self._settings:
            names = {*lines[0], *self._settings}
            other = sorted(
                f"{name}={lines[0].get(name)!r}, not {self._settings.get(name)!r}"
                for name in names
                if lines[0].get(name) != self._settings.get(name)
            )
            raise ValueError(
                f"{self._journal_path} is of a run with other settings: "
                f"{'; '.join(other)}. Go on with those, or delete it to start anew."
            )
        self._journal.truncate(len(whole))
        self._journal.seek(len(whole))

    def _rows(self):
        self._journal.seek(0)
        lines = self._journal.read().splitlines()
        return [json.loads(line) for line in lines[1:]]

    def _append(self, rows):
        self._journal.write(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
        self._journal.flush()

    def _make(self, path, columns, rows):
        unfinished = _unfinished(path)
        # One of a run that was killed here; a link leads to what is not ours.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        text = {"newline": "", "encoding": "utf-8", "errors": "backslashreplace"}
        with os.fdopen(os.open(unfinished, flags, 0o666), "w", **text) as file:
            if path.suffix.lower() == ".csv":
                writer = csv.writer(file)
                writer.writerow(columns)
                for row in rows:
                    writer.writerow([safe_cell(row[name]) for name in columns])
            else:
                file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)


def _unfinished(path):
    return path.with_name(f"{path.name}.unfinished")


class StandardOutput:
    """Writes each row as a line of JSON at once. Stands where a `Table` does."""

    def __init__(self, file):
        self.done, self._file, self._errors = {}, file, 0

    def write(self, rows):
        """Prints rows."""
        for row in rows:
            print(json.dumps(row), file=self._file, flush=True)
            self._errors += "error" in row

    def finish(self, files):
        """Returns the number of rows with an error."""
        return self._errors

    def close(self):
        """Does nothing: the file is not its own."""


def safe_cell(value):
    """Returns a value that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value
