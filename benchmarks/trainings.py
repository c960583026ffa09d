"""The project's commands as a user types them, each in a process of its own."""

import json
import pathlib
import shlex
import subprocess
import sys


def command(module, *arguments):
    """Runs `python -m module arguments...`, and shows the line first.

    Raises:
        ValueError: if the command fails; what it printed tells why.
    """
    line = shlex.join(("python", "-m", module, *arguments))
    print(f"\n$ {line}", flush=True)
    done = subprocess.run([sys.executable, "-m", module, *arguments])
    if done.returncode:
        raise ValueError(f"Exit code {done.returncode} of: {line}")


def train(workdir, settings):
    """Trains by `python -m train`; a run that was interrupted is gone on with.

    Args:
        workdir: path of the run's folder.
        settings: dict, flags of the command -> values.

    Returns:
        dict, what the run's `results.json` holds.
    """
    workdir = pathlib.Path(workdir)
    command("train", *as_flags(settings), f"--workdir={workdir}")
    return json.loads((workdir / "results.json").read_text())


def as_flags(settings):
    """Returns list of str, `--name=value` of a dict; a bool gives `--[no]name`."""
    texts = []
    for name, value in settings.items():
        if isinstance(value, bool):
            texts.append(f"--{name}" if value else f"--no{name}")
        elif isinstance(value, tuple):
            texts.append(f"--{name}={','.join(map(str, value))}")
        else:
            texts.append(f"--{name}={value}")
    return texts
