"""What a run needs to go on after it was killed at any moment.

One folder per completed epoch, `checkpoints/epoch_0007/`, is written under another
name, flushed to disk and renamed, so that a folder with its final name is complete.
Its file `SHA256SUMS` tells by every byte whether it still is.
"""

import dataclasses
import hashlib
import json
import pathlib
import re
import shutil
import sys

import keras
import numpy as np

from .workdir import flush, flush_folder

CHECKPOINT_FOLDER = "checkpoints"
STATE_FILE, PROGRESS_FILE = "state.npz", "progress.json"
# In the form that `sha256sum --check` reads.
SUMS_FILE = "SHA256SUMS"
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

    @classmethod
    def of(cls, folder):
        """Reads the progress in a checkpoint's folder; `None` is a new run's."""
        if folder is None:
            return cls()
        return cls(**json.loads((folder / PROGRESS_FILE).read_text("utf-8")))

    def add(self, logs, steps, seconds):
        """Counts one more epoch; `steps` is the number of updates so far."""
        self.epochs += 1
        self.steps = steps
        self.seconds += seconds
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))

    @property
    def epochs_without_improvement(self):
        """Completed epochs since the one with the lowest validation loss."""
        losses = self.history.get("val_loss", [])
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0


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

    def newest(self):
        """Folder of the newest checkpoint that is whole, or `None` for a new run.

        One that is damaged is named and skipped.

        Raises:
            ValueError: if there are checkpoints, and all of them are damaged.
        """
        damaged = []
        for folder in self.complete():
            reason = _damage(folder)
            if reason is None:
                for message in damaged:
                    print(
                        f"warning: The checkpoint {message}: skipped, the run goes on "
                        f"from {folder.name}.",
                        file=sys.stderr,
                    )
                return folder
            damaged.append(f"{folder} is damaged ({reason})")
        if damaged:
            raise ValueError(
                f"No checkpoint is left to go on from: {'; '.join(damaged)}. Nothing "
                f"was changed. Choose another --workdir, or delete {self.folder} to "
                "start again at epoch 1."
            )
        return None

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
        with (aside / SUMS_FILE).open("w") as file:
            file.write(_sums(aside))
            flush(file)
        flush_folder(aside)
        shutil.rmtree(final, ignore_errors=True)
        aside.rename(final)
        flush_folder(self.folder)
        for old in self.complete()[NUM_KEPT:]:
            shutil.rmtree(old)


def restore(folder, variables):
    """Loads the state in a checkpoint.

    Args:
        folder: of the checkpoint.
        variables: `state_variables` of a model and a built optimizer of the same
            settings.

    Raises:
        ValueError: if the checkpoint is of another model or optimizer.
    """
    with np.load(folder / STATE_FILE) as state:
        arrays = [state[name] for name in state.files]
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [array.shape for array in arrays]:
        raise ValueError(
            f"The checkpoint {folder} is of another model or optimizer. Choose "
            "another --workdir, or delete it."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array.astype(variable.dtype))


def state_variables(classifier, optimizer):
    """What a checkpoint holds: the model's weights and seeds, the optimizer's state."""
    return [*classifier.variables, *optimizer.variables]


def disk_bytes(classifier, variables):
    """About what the files of a run take, and what is written before one goes.

    Args:
        classifier: the model.
        variables: its `state_variables`.

    Returns:
        Pair of ints: bytes of the kept checkpoints and the two models, with a new
        one of each beside them; bytes of a new one of each.
    """
    state, model = _num_bytes(variables), _num_bytes(classifier.variables)
    new = state + model
    return new + NUM_KEPT * state + 2 * model, new


def _num_bytes(variables):
    return sum(
        int(np.prod(variable.shape)) * np.dtype(_plain_dtype(variable)).itemsize
        for variable in variables
    )


def _plain_dtype(variable):
    dtype = keras.backend.standardize_dtype(variable.dtype)
    return "float32" if dtype == "bfloat16" else dtype


def _as_plain_array(variable):
    # NumPy's files do not know bfloat16; float32 holds all its values.
    return keras.ops.convert_to_numpy(variable).astype(_plain_dtype(variable))


def _sums(folder):
    """The text of `SHA256SUMS` for the files in `folder`."""
    lines = []
    for name in (STATE_FILE, PROGRESS_FILE):
        with (folder / name).open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)


def _damage(folder):
    """Why a checkpoint cannot be trusted, or `None`."""
    try:
        if (folder / SUMS_FILE).read_bytes() == _sums(folder).encode():
            return None
    except OSError as error:
        return f"{pathlib.Path(error.filename or folder).name}: {error.strerror}"
    return f"its bytes are not those of {SUMS_FILE}"
