"""Image files: which there are, and what they hold."""

import os
import pathlib
import stat

from savedmodel_export.image_names import (
    IMAGES,
    begins_as_image,
    has_image_name,
    is_system,
)

MAX_FILE_BYTES = 2**26


class UnreadableError(Exception):
    """A file whose content cannot be had."""


def find_images(paths):
    """Returns the image files of files and folders.

    A folder gives its images, those of its folders included, in the order of their
    names; also those that cannot be decoded, so that they are told. Hidden and system
    files are left out. Links to folders are not followed.

    Args:
        paths: sequence of paths.

    Returns:
        Two lists: the paths of the files, each once; and pairs (path, reason) for the
        folders that cannot be read.

    Raises:
        ValueError: if a path does not exist or there is no image.
    """
    files, unread = [], []
    if not all(map(str, paths)):
        raise ValueError("An empty path. Expected image files, or folders of them.")
    for path in map(_expanded, paths):
        if path.is_dir():
            found, without = _walk(path)
            files += found
            unread += without
        elif os.path.lexists(path):
            files.append(path)
        else:
            raise ValueError(f"{path} does not exist.")
    if not files and not unread:
        raise ValueError(
            f"{', '.join(map(str, paths))} holds no image ({', '.join(IMAGES)})."
        )
    return list(dict.fromkeys(files)), unread


def read_image(path):
    """Returns the content of a file.

    Raises:
        UnreadableError: if it is no regular file, empty, too large, or not to be read.
    """
    try:
        # A pipe that nobody writes to would block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableError("not a regular file")
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UnreadableError(getattr(error, "strerror", None) or str(error)) from error
    if not content:
        raise UnreadableError("empty file")
    if len(content) > MAX_FILE_BYTES:
        raise UnreadableError(f"more than {MAX_FILE_BYTES} bytes")
    return content


def _expanded(path):
    """Returns a path with `~` replaced by the home folder.

    Raises:
        ValueError: if there is no such home folder.
    """
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path}: {error}") from error


def _walk(folder):
    files, unread = [], []

    def note(error):
        unread.append((pathlib.Path(error.filename), error.strerror))

    for place, folders, names in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not is_system(name))
        for name in folders:
            path = pathlib.Path(place, name)
            if path.is_symlink():
                unread.append((path, "a link to a folder, which is not followed"))
        for name in names:
            path = pathlib.Path(place, name)
            if not is_system(name) and (has_image_name(name) or begins_as_image(path)):
                files.append(path)
    return sorted(files), unread
