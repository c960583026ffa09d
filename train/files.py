"""Files that are there whole, or not at all."""

import os


def write_text(path, text):
    """Writes a file so that `path` holds the old or the new text, never a part."""
    aside = path.with_name(f".{path.name}.tmp")
    with aside.open("w") as file:
        file.write(text)
        flush(file)
    aside.replace(path)
    flush_folder(path.parent)


def save_model(model, path):
    """Saves a Keras model so that `path` holds the old or the new one."""
    aside = path.with_name(f".{path.stem}.tmp.keras")
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


def check_writable(folder):
    """Makes a folder if it is missing, and writes in it.

    Raises:
        ValueError: if that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / ".probe", "")
        (folder / ".probe").unlink()
    except OSError as error:
        raise ValueError(
            f"The workdir {folder} cannot be written: {error.strerror}. Choose "
            "another --workdir."
        ) from error
