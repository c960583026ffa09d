"""What the server needs beside the models: its configuration and how to start it.

`python -m savedmodel_export.serving.configuration EXPORT_DIR [--stable=VERSION]`
writes the files anew, for example to promote a canary. The files stand in the folder
that holds the models' folders; every path in them is relative to it or `/models`, so
that it can be moved and mounted as it is.
"""

import contextlib
import fcntl
import os
import pathlib
import sys
import tempfile

from absl import app, flags
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from savedmodel_export.model_card import read_model_card
from savedmodel_export.publishing import versions, writing
from savedmodel_export.serving.templates import (
    COMPOSE,
    COMPOSE_BATCHING,
    MONITORING,
    SERVE,
)

MODELS_CONFIG = "models.config"
CONTAINER_ROOT = "/models"


def write_serving_files(export_dir, stable=None):
    """Writes `models.config` and the server's other files beside a model's folder.

    The model, named as its folder, gets the labels `canary`, its newest version, and
    `stable`, which stays where it is until it is moved or its version is gone. Other
    models of `models.config` stay as they are.

    Args:
        export_dir: folder of the model's versions.
        stable: int or `None`. The version to label `stable`.

    Returns:
        `pathlib.Path` of the folder of the files.

    Raises:
        ValueError: if there is no such version, `models.config` cannot be read, or
            the files cannot be written.
    """
    export_dir = pathlib.Path(export_dir).resolve()
    root = export_dir.parent
    numbers = [int(path.name) for path in versions(export_dir)]
    if not numbers or (stable is not None and stable not in numbers):
        raise ValueError(
            f"{export_dir} has no version {'' if stable is None else stable}. "
            f"Versions: {numbers}"
        )
    with writing(root), _exclusive(root):
        config = _read_config(root)
        before = _labels(config, export_dir.name).get("stable")
        if stable is None:
            stable = before if before in numbers else numbers[-1]
        _set_model(config, export_dir.name, stable, numbers[-1])
        # Several clients' images in one group must be somebody's decision.
        joins = not _any_mixes_images(root, config)
        script = SERVE.replace("@BATCHING@", "on" if joins else "off")
        compose = COMPOSE.replace("@BATCHING_FLAGS@", COMPOSE_BATCHING if joins else "")
        _replace(root / MODELS_CONFIG, text_format.MessageToString(config))
        _replace(root / "monitoring.config", MONITORING)
        _replace(root / "serve.sh", script, 0o755)
        _replace(root / "docker-compose.yml", compose)
    return root


def labelled_versions(export_dir):
    """Returns the set of a model's versions that `models.config` names."""
    export_dir = pathlib.Path(export_dir).resolve()
    config = _read_config(export_dir.parent)
    return set(_labels(config, export_dir.name).values())


def _read_config(root):
    config = model_server_config_pb2.ModelServerConfig()
    path = root / MODELS_CONFIG
    if path.is_file():
        try:
            text_format.Parse(path.read_text(), config)
        except text_format.ParseError as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
    return config


def _labels(config, name):
    for entry in config.model_config_list.config:
        if entry.name == name:
            return dict(entry.version_labels)
    return {}


def _set_model(config, name, stable, canary):
    entries = config.model_config_list.config
    entry = next((entry for entry in entries if entry.name == name), None)
    if entry is None:
        entry = entries.add(name=name)
    entry.base_path = f"{CONTAINER_ROOT}/{name}"
    entry.model_platform = "tensorflow"
    entry.model_version_policy.specific.versions[:] = sorted({stable, canary})
    entry.version_labels["stable"] = stable
    entry.version_labels["canary"] = canary


def _any_mixes_images(root, config):
    return any(
        read_model_card(root / entry.name / str(version)).get("mixes_images", True)
        for entry in config.model_config_list.config
        for version in entry.model_version_policy.specific.versions
    )


@contextlib.contextmanager
def _exclusive(root):
    """Lets one process at a time change the files."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # A file system without locks.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path, text, mode=0o644):
    """Writes a file so that a reader finds the old text or the new one."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise


def main(argv):
    """Writes the files of the model whose folder is the one argument."""
    if len(argv) != 2:
        raise app.UsageError("Expected one argument, the folder of the versions.")
    try:
        print(write_serving_files(argv[1], flags.FLAGS.stable))
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    flags.DEFINE_integer("stable", None, "Version to label `stable`.", lower_bound=1)
    app.run(main)
