"""Version folders that appear whole or not at all.

TensorFlow Serving loads a folder as soon as its name is an integer. So a version
is built and checked under another name beside it, written to the disk, and renamed
at the end. A folder that a killed exporter left is deleted by the next one.
"""

import contextlib
import fcntl
import os
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
    with writing(export_dir):
        root = pathlib.Path(export_dir)
        root.mkdir(parents=True, exist_ok=True)
        delete_abandoned(root)
        folder, lock = _locked_folder(root)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def writing(export_dir, errors=(OSError,)):
    """Turns failures to write into one clear `ValueError`."""
    try:
        yield
    except errors as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", error)
        raise ValueError(
            f"The export folder {export_dir} cannot be written: {reason}."
        ) from error


def publish(folder):
    """Puts a finished folder on the disk, then renames it to the next version.

    Returns:
        `pathlib.Path` of the version.
    """
    _sync(folder)
    while True:
        numbers = [int(path.name) for path in versions(folder.parent)]
        version = folder.parent / str(max(numbers, default=0) + 1)
        try:
            # Fails where another exporter has just taken the number: a version
            # is never empty, and a folder does not replace one that is not.
            folder.rename(version)
        except OSError:
            if not version.exists():
                raise
        else:
            _sync_one(folder.parent)
            return version


def prune(export_dir, keep, protected=()):
    """Deletes all but the newest `keep` versions.

    Args:
        export_dir: folder of the versions.
        keep: int >= 1.
        protected: collection of int. Versions that stay, however old.

    Returns:
        list of the deleted versions' paths.
    """
    root = pathlib.Path(export_dir)
    old = [path for path in versions(root)[:-keep] if int(path.name) not in protected]
    for version in old:
        # Renamed first: a half-deleted folder must not look like a version.
        doomed = tempfile.mkdtemp(prefix=UNFINISHED_PREFIX, dir=root)
        with contextlib.suppress(FileNotFoundError):  # Another exporter was faster.
            version.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
    return old


def versions(export_dir):
    """Returns the paths of the versions in a folder, oldest first."""
    folders = [path for path in pathlib.Path(export_dir).iterdir() if is_version(path)]
    return sorted(folders, key=lambda path: int(path.name))


def is_version(path):
    """Whether TensorFlow Serving would take `path` for a version."""
    return path.name.isdecimal() and path.is_dir()


def delete_abandoned(export_dir):
    """Deletes unfinished folders whose exporter is no longer alive."""
    for folder in pathlib.Path(export_dir).glob(f"{UNFINISHED_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY)
            try:
                # A living exporter holds it; the kernel drops it with the process.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _locked_folder(root):
    while True:
        folder = pathlib.Path(tempfile.mkdtemp(prefix=UNFINISHED_PREFIX, dir=root))
        # Another exporter may take it for abandoned until it is locked.
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            with contextlib.suppress(OSError):  # A file system without locks.
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                folder.chmod(0o755)
                return folder, lock
            os.close(lock)


def _sync(folder):
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync_one(os.path.join(parent, name))
        _sync_one(parent)


def _sync_one(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
