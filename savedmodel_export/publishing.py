"""Version folders that appear whole or not at all, and go only if they are ours.

TensorFlow Serving loads a folder as soon as its name is an integer. So a version is
built and checked inside the export folder under `.savedmodel_export`, written to the
disk, and renamed at the end. What a killed command left there is deleted by the next.
Publishing, configuring the server and deleting happen under one lock.
"""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import tempfile

from absl import logging

from savedmodel_export.model_card import read_model_card

WORK_FOLDER = ".savedmodel_export"
LOCK = "lock"
UNFINISHED_PREFIX = "version-"
# What the server's 64-bit integers hold.
LARGEST_VERSION = 2**63 - 1
_INTEGER = re.compile("[0-9]+")


@contextlib.contextmanager
def exclusive(export_dir):
    """Lets one command at a time change an export folder; yields its path.

    The folder is made if it is missing, and what killed commands left is deleted.

    Raises:
        ValueError: if the folder cannot be written.
    """
    root = pathlib.Path(export_dir)
    with contextlib.ExitStack() as stack:
        with writing(root):
            work = root / WORK_FOLDER
            work.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(open(work / LOCK, "a"))
            _lock(lock)
            _delete_leftovers(work)
        yield root


@contextlib.contextmanager
def unfinished_version(export_dir):
    """Yields an empty folder to build a version in; it is deleted if left behind.

    Raises:
        ValueError: if `export_dir` cannot be written.
    """
    with exclusive(export_dir) as root, writing(root):
        folder = pathlib.Path(
            tempfile.mkdtemp(prefix=UNFINISHED_PREFIX, dir=root / WORK_FOLDER)
        )
        folder.chmod(0o755)
        # Held while this process lives: others see that the folder is in use.
        lock = os.open(folder, os.O_RDONLY)
        _lock(lock)
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


def sync(folder):
    """Writes all files of a folder to the disk."""
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync_one(os.path.join(parent, name))
        _sync_one(parent)


def publish(folder, root):
    """Renames a finished folder to the next version; call it under `exclusive`.

    Returns:
        `pathlib.Path` of the version.
    """
    number = max(_integers(root), default=0) + 1
    if number > LARGEST_VERSION:
        raise ValueError(
            f"{root} holds a folder named {LARGEST_VERSION}, the largest version that "
            "the server knows. Export into another folder."
        )
    version = root / str(number)
    folder.rename(version)
    _sync_one(root)
    return version


def prune(root, keep, named=()):
    """Deletes all but the newest `keep` versions; call it under `exclusive`.

    Args:
        root: path of the export folder.
        keep: int >= 1.
        named: collection of int. Versions that stay, however old.

    Returns:
        list of the deleted versions' numbers.
    """
    old = [number for number in versions(root)[:-keep] if number not in named]
    for number in old:
        # Renamed first: a half-deleted folder must not look like a version.
        doomed = root / WORK_FOLDER / f"deleted-{number}"
        (root / str(number)).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
    return old


def replace_file(path, text, root, mode=0o644):
    """Writes a file so that a reader finds the old text or the new one."""
    new = root / WORK_FOLDER / f"new-{path.name}"
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.chmod(mode)
    os.replace(new, path)
    _sync_one(path.parent)


def versions(root):
    """Returns the numbers of the versions that this package wrote, oldest first.

    Other folders named by integers are left alone; one whose `model_card.json` is
    damaged is named in a warning.
    """
    root = pathlib.Path(root)
    return sorted(n for n in _integers(root) if _is_ours(root / str(n)))


def _integers(root):
    """Yields every number that the server would take for a version, ours or not."""
    for path in pathlib.Path(root).iterdir():
        if _INTEGER.fullmatch(path.name) and path.is_dir():
            if (number := int(path.name)) <= LARGEST_VERSION:
                yield number


def _is_ours(version):
    if not version.is_dir():
        return False  # Its name has leading zeros.
    try:
        return bool(read_model_card(version))
    except ValueError as error:
        logging.warning("%s is left alone: %s", version, error)
        return False


def _delete_leftovers(work):
    for path in work.iterdir():
        if path.name == LOCK:
            continue
        if not path.is_dir():
            path.unlink(missing_ok=True)
        elif not path.name.startswith(UNFINISHED_PREFIX) or not _in_use(path):
            shutil.rmtree(path, ignore_errors=True)


def _in_use(folder):
    """Whether the exporter that made a folder lives: the kernel drops its lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        logging.warning(
            "This file system has no locks (%s): run one command at a time.",
            error.strerror,
        )


def _sync_one(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
