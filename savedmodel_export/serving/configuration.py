"""The server's files of an export folder, in its subfolder `serving`.

`models.config` is kept up to date; the others are templates, written anew each time.
A file that does not carry this package's line is another's, and is not touched.
"""

import contextlib
import importlib.resources
import pathlib
import re

from absl import logging

from savedmodel_export.model_card import read_model_card
from savedmodel_export.publishing import exclusive, replace_file, versions, writing
from savedmodel_export.serving import models_config

FOLDER = "serving"
MODELS_CONFIG = "models.config"
TEMPLATES = {"monitoring.config": 0o644, "docker-compose.yml": 0o644, "serve.sh": 0o755}
MARK = "Written by savedmodel_export"
HEADER = f"""\
# {MARK}, which keeps the labels stable and canary of its model and the
# versions that they name up to date. All else is yours to edit, and stays.
"""
_BATCHING_FLAGS = """\
      - --enable_batching=true
      - --enable_per_model_batching_parameters=true
"""


def write_serving_files(export_dir, stable=None):
    """Writes `models.config` and the server's other files into `export_dir/serving`.

    The model gets the labels `canary`, its newest version, and `stable`, which stays
    where it is until it is moved.

    Args:
        export_dir: folder of the model's versions.
        stable: int or `None`. The version to label `stable`.

    Returns:
        `pathlib.Path` of the folder of the files.

    Raises:
        ValueError: if there is no such version, a file of another program stands in
            the way, `models.config` cannot be read, or the files cannot be written.
    """
    export_dir = pathlib.Path(export_dir)
    if not export_dir.is_dir():
        raise ValueError(f"{export_dir} is not a folder.")
    with exclusive(export_dir) as root:
        return configure(root, stable)


def configure(root, stable=None):
    """Writes the files as `write_serving_files`; call it under `exclusive`."""
    check_serving_files(root)
    numbers = versions(root)
    if not numbers or (stable is not None and stable not in numbers):
        raise ValueError(
            f"{root} has no version {'' if stable is None else f'{stable} '}of this "
            f"program. Versions: {numbers}"
        )
    path = root / FOLDER / MODELS_CONFIG
    text = _text(path) if path.is_file() else HEADER
    name = model_name(root)
    if stable is None:
        before = models_config.read(text, name).labels.get("stable")
        stable = _successor(before, numbers, root)
    with _naming(path):
        text = models_config.update(text, name, stable, numbers[-1])
        named = models_config.read(text, name).named
    joins = not any(_mixes_images(root / str(number)) for number in named)
    with writing(root):
        path.parent.mkdir(exist_ok=True)
        for file, mode in TEMPLATES.items():
            replace_file(path.with_name(file), _filled(file, joins), root, mode)
        replace_file(path, text, root)
    return path.parent


def check_serving_files(export_dir):
    """Checks that the files can be written.

    Raises:
        ValueError: if a file of another program stands in the way, or
            `models.config` cannot be read.
    """
    folder = pathlib.Path(export_dir) / FOLDER
    for file in (MODELS_CONFIG, *TEMPLATES):
        path = folder / file
        if not path.exists():
            continue
        if not path.is_file() or MARK not in _text(path):
            raise ValueError(
                f"{path} was not written by this program and is left alone: no line of "
                f"it says {MARK!r}. Move it away, or export without the server's files "
                "(--noserving_files)."
            )
    named_versions(export_dir)


def named_versions(export_dir):
    """Returns the set of versions that `models.config` names for this folder."""
    path = pathlib.Path(export_dir) / FOLDER / MODELS_CONFIG
    if not path.is_file():
        return set()
    with _naming(path):
        return models_config.read(_text(path), model_name(export_dir)).named


def model_name(export_dir):
    """Returns the folder's name as one that can stand in a URL."""
    name = pathlib.Path(export_dir).resolve().name
    return re.sub(r"[^A-Za-z0-9._-]", "_", name) or "model"


def _successor(stable, numbers, root):
    """Returns where `stable` points if nobody moves it."""
    if stable is None:
        return numbers[-1]
    if stable in numbers or (root / str(stable)).is_dir():
        return stable
    # Never forward: the newest version may be untested.
    chosen = max((n for n in numbers if n < stable), default=numbers[0])
    logging.warning(
        "Version %s, labelled stable, is gone: the label moves to %s.", stable, chosen
    )
    return chosen


def _mixes_images(version):
    # Several clients' images in one group must be somebody's decision.
    try:
        return read_model_card(version).get("mixes_images", True)
    except ValueError:
        return True


def _filled(file, joins):
    template = importlib.resources.files(__package__) / "templates" / file
    text = template.read_text("utf-8").replace("@BATCHING@", "on" if joins else "off")
    return text.replace("@BATCHING_FLAGS@\n", _BATCHING_FLAGS if joins else "")


def _text(path):
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


@contextlib.contextmanager
def _naming(path):
    """Puts the file's name into a `ValueError`."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path} cannot be used: {error}.") from error
