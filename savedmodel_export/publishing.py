"""Version folders that appear whole or not at all.

TensorFlow Serving loads a folder as soon as its name is an integer. So a version
is built and checked under another name beside it and renamed at the end.
"""

import contextlib
import pathlib
import shutil
import tempfile

UNFINISHED_PREFIX = "unfinished-"


@contextlib.contextmanager
def unfinished_version(export_dir):
    """Yields an empty folder beside the versions; it is deleted if left behind.

    Raises:
        ValueError: if `export_dir` cannot be written.
    """
    root = pathlib.Path(export_dir)
    try:
        root.mkdir(parents=True, exist_ok=True)
        folder = pathlib.Path(tempfile.mkdtemp(prefix=UNFINISHED_PREFIX, dir=root))
    except OSError as error:
        raise ValueError(
            f"The export folder {export_dir} cannot be written: {error.strerror}."
        ) from error
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder):
    """Renames a finished folder to the next version number beside it.

    Returns:
        `pathlib.Path` of the version.
    """
    while True:
        numbers = [
            int(path.name) for path in folder.parent.iterdir() if is_version(path)
        ]
        version = folder.parent / str(max(numbers, default=0) + 1)
        try:
            # Fails where another exporter has just taken the number: a version
            # is never empty, and a folder does not replace one that is not.
            return folder.rename(version)
        except OSError:
            if not version.exists():
                raise


def is_version(path):
    """Whether TensorFlow Serving would take `path` for a version."""
    return path.is_dir() and path.name.isdecimal()
