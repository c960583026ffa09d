"""The folder of a run: whose it is, who uses it, and files that are there whole."""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import socket

# It marks a folder as a run's, and holds the lock.
MARK = ".training"
OUR_FILES = ("config.json", "bundle.json", "best.keras", "last.keras", "results.json")
OUR_FOLDERS = ("checkpoints", "tensorboard")


class Workdir:
    """The folder of a run, for one process at a time.

    Nothing that another program wrote is replaced or deleted: a folder without the
    mark that holds a name of ours is refused.

    Args:
        path: of the folder; it is made if it is missing.

    Raises:
        ValueError: if the folder cannot be written, is not a run's, or is in use.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path).expanduser()
        with _as_value_error(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._check_ours()
            self._lock = (self.path / MARK).open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with self._lock:
                self._lock.seek(0)
                holder = self._lock.read().strip() or "another process"
            raise ValueError(
                f"The workdir {self.path} is in use by {holder}. Wait for its end, or "
                "choose another --workdir."
            ) from None
        with _as_value_error(self.path):
            self._lock.truncate(0)
            self._lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            flush(self._lock)
            self._clean()

    def close(self):
        """Lets other processes use the folder."""
        self._lock.close()

    def check_space(self, needed, least):
        """Checks that the disk has room for the files of a run.

        Args:
            needed: int, bytes of all of them.
            least: int, bytes that are written before the first old one goes.

        Raises:
            ValueError: if it has not.
        """
        there = [
            file
            for name in (*OUR_FILES, *OUR_FOLDERS)
            for file in ((self.path / name), *(self.path / name).rglob("*"))
            if file.is_file() and "tensorboard" not in file.parts
        ]
        needed = max(least, needed - sum(file.stat().st_size for file in there))
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise ValueError(
                f"The disk of {self.path} has {free / 1e6:.0f} MB free; the run's "
                f"checkpoints need about {needed / 1e6:.0f} MB. Choose another "
                "--workdir."
            )

    def _check_ours(self):
        if (self.path / MARK).exists():
            return
        names = [
            name for name in (*OUR_FILES, *OUR_FOLDERS) if (self.path / name).exists()
        ]
        if names:
            raise ValueError(
                f"{self.path} is not the folder of a training run, but holds "
                f"{', '.join(names)}, which a run would replace. Choose another "
                f"--workdir. (A run of an older version: make the file "
                f"{self.path / MARK}, and it goes on.)"
            )

    def _clean(self):
        """Removes what a killed run left half written."""
        for name in OUR_FILES:
            _aside(self.path / name).unlink(missing_ok=True)
        for folder in (self.path / "checkpoints").glob("epoch_*.tmp"):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locked(path):
    """Inside, no other process is inside with the same path; they wait.

    Args:
        path: of a file, made if it is missing.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_text(path, text):
    """Writes a file so that `path` holds the old or the new text, never a part."""
    aside = _aside(path)
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        flush(file)
    aside.replace(path)
    flush_folder(path.parent)


def read_json(path):
    """Returns the content of a JSON file, or `None` if it is not there.

    Raises:
        ValueError: if it cannot be read, naming it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error


def damaged(path, reason):
    """Returns the error of a file of a run that does not hold what it should."""
    return ValueError(
        f"{path} is damaged: {reason}. Nothing was changed. Bring the file back, or "
        "choose another --workdir."
    )


def save_model(model, path):
    """Saves a Keras model so that `path` holds the old or the new one."""
    aside = _aside(path)
    model.save(aside)
    with aside.open("rb+") as file:
        flush(file)
    aside.replace(path)
    flush_folder(path.parent)


def flush(file):
    """Hands an open file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder):
    """Hands the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _aside(path):
    # With the suffix at its end, by which Keras knows the form of a model file.
    return path.with_name(f".{path.stem}.tmp{path.suffix}")


@contextlib.contextmanager
def _as_value_error(folder):
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"The workdir {folder} cannot be written: {error.strerror}. Choose "
            "another --workdir."
        ) from error
