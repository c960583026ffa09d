"""The folders that benchmarks write: each carries a mark, and no other is touched."""

import pathlib
import shutil

MARK = ".benchmarks"
MARK_TEXT = "The benchmarks write this folder; files here may be replaced.\n"


def own(folder):
    """Returns a folder that the benchmarks may write in.

    A missing or empty folder is made and marked. One that holds something must carry
    the mark.

    Args:
        folder: path.

    Raises:
        ValueError: if the folder holds something and has no mark.
    """
    folder = pathlib.Path(folder)
    mark = folder / MARK
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file. Expected a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not mark.is_file():
        raise ValueError(
            f"{folder} holds files that the benchmarks did not write (it has no file "
            f"{MARK}). Give a new or empty folder, so that nothing is replaced."
        )
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(MARK_TEXT)
    return folder


def own_anew(folder, names):
    """Returns a folder that the benchmarks may write in, without its old parts.

    Args:
        folder: path.
        names: names of the subfolders that this command makes. They alone are
            deleted, and only where the folder carries the mark.

    Raises:
        ValueError: as `own`.
    """
    folder = own(folder)
    for name in names:
        part = folder / name
        if part.is_symlink():
            part.unlink()
        elif part.exists():
            shutil.rmtree(part)
    return folder
