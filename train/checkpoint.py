"""What a run needs to go on after it was killed at any moment.

One folder per completed epoch, `checkpoints/epoch_0007/`, is written under another
name, flushed to disk and renamed, so that a folder with its final name is complete.
"""

import dataclasses
import json
import pathlib
import re
import shutil
import zipfile

import keras
import numpy as np

from train.files import flush, flush_folder

CHECKPOINT_FOLDER = "checkpoints"
STATE_FILE, PROGRESS_FILE = "state.npz", "progress.json"
NUM_KEPT = 2


@dataclasses.dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epochs: int, completed epochs.
        steps: int, updates of the optimizer.
        best: float, the lowest validation loss so far.
        history: dict, name -> list of one value per completed epoch.
        seconds: float, time spent in training so far.
    """

    epochs: int = 0
    steps: int = 0
    best: float = float("inf")
    history: dict = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    def add(self, logs, steps, seconds):
        """Counts one more epoch; `steps` is the number of updates so far."""
        self.epochs += 1
        self.steps = steps
        self.seconds += seconds
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))


class Checkpoints:
    """The checkpoints of a workdir.

    Args:
        workdir: folder of the run.
    """

    def __init__(self, workdir):
        self.folder = pathlib.Path(workdir) / CHECKPOINT_FOLDER

    def complete(self):
        """Folders of complete checkpoints, the newest first."""
        folders = [
            path
            for path in self.folder.glob("epoch_*")
            if re.fullmatch(r"epoch_\d+", path.name)
        ]
        return sorted(folders, key=lambda path: int(path.name[6:]), reverse=True)

    def progress(self):
        """`Progress` of the newest checkpoint that can be read, or a fresh one."""
        newest = self._newest()
        if newest is None:
            return Progress()
        return Progress(**json.loads((newest / PROGRESS_FILE).read_text()))

    def save(self, variables, progress):
        """Writes a checkpoint of `state_variables`, and drops the oldest."""
        final = self.folder / f"epoch_{progress.epochs:04d}"
        aside = final.with_suffix(".tmp")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        with (aside / STATE_FILE).open("wb") as file:
            np.savez(file, *map(_as_plain_array, variables))
            flush(file)
        with (aside / PROGRESS_FILE).open("w") as file:
            json.dump(dataclasses.asdict(progress), file)
            flush(file)
        flush_folder(aside)
        shutil.rmtree(final, ignore_errors=True)
        aside.rename(final)
        flush_folder(self.folder)
        for old in self.complete()[NUM_KEPT:]:
            shutil.rmtree(old)

    def restore(self, variables):
        """Loads the newest checkpoint that can be read, if there is one.

        Args:
            variables: `state_variables` of a model and a built optimizer of the
                same settings.

        Raises:
            ValueError: if the checkpoint is of another model or optimizer.
        """
        newest = self._newest()
        if newest is None:
            return
        with np.load(newest / STATE_FILE) as state:
            arrays = [state[name] for name in state.files]
        shapes = [tuple(variable.shape) for variable in variables]
        if shapes != [array.shape for array in arrays]:
            raise ValueError(
                f"The checkpoint {newest} is of another model or optimizer. Choose "
                "another --workdir, or delete it."
            )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array.astype(variable.dtype))

    def clean(self):
        """Removes what a killed run left half written."""
        for aside in self.folder.glob("*.tmp"):
            shutil.rmtree(aside, ignore_errors=True)

    def _newest(self):
        return next(filter(_readable, self.complete()), None)


def state_variables(classifier, optimizer):
    """What a checkpoint holds: the model's weights and seeds, the optimizer's state."""
    return [*classifier.variables, *optimizer.variables]


def checkpoint_bytes(variables):
    """About what a run's files take while one of them is replaced."""
    state = sum(
        np.prod(variable.shape) * np.dtype(_plain_dtype(variable)).itemsize
        for variable in variables
    )
    # The kept checkpoints and a new one; best and last and a new one.
    return int(state * (NUM_KEPT + 1 + 3))


def _plain_dtype(variable):
    dtype = keras.backend.standardize_dtype(variable.dtype)
    return "float32" if dtype == "bfloat16" else dtype


def _as_plain_array(variable):
    # NumPy's files do not know bfloat16; float32 holds all its values.
    return keras.ops.convert_to_numpy(variable).astype(_plain_dtype(variable))


def _readable(folder):
    try:
        json.loads((folder / PROGRESS_FILE).read_text())
        with zipfile.ZipFile(folder / STATE_FILE) as state:
            return state.testzip() is None
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
