"""The memory and the time that loading exported models takes.

`python -m benchmarks.speed.loading --models=served/tiny/1,served/vit/1` loads each
version folder in a process of its own by TensorFlow's C library, as TensorFlow Serving
does, and lets it answer one image. A small model beside the others shows what the
library takes by itself.
"""

import json
import pathlib
import time

import numpy as np
from absl import flags

from benchmarks import command
from benchmarks.markdown import number, table
from benchmarks.speed.worker import Worker, peak_memory

MIB = 2**20


def define_flags():
    """Defines the command's flags."""
    flags.DEFINE_list("models", None, "Version folders.")
    flags.mark_flag_as_required("models")


def main(values):
    """Loads the models one after another and prints the table."""
    print(loading_table([measure(path) for path in values.models]))


def measure(path):
    """Loads one model.

    Args:
        path: of a version folder.

    Returns:
        dict of what a line of the table shows; sizes in bytes.
    """
    folder = pathlib.Path(path).expanduser()
    card = folder / "model_card.json"
    if not card.is_file():
        raise ValueError(
            f"--models: {path} is no version folder, it has no {card.name}."
        )
    described = json.loads(card.read_text())
    with Worker(f"{__name__}:Loaded", str(folder), described["image_shape"]) as worker:
        loaded, seconds = worker.call("loading")
        return {
            "model": f"{folder.parent.name}/{folder.name}",
            "precision": described["precision"],
            "files": sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()),
            "loaded": loaded,
            "answered": worker.call("peak_after_an_image"),
            "seconds": seconds,
        }


class Loaded:
    """A model in this process.

    Args:
        folder: str, the version folder.
        image_shape: of its images.
    """

    def __init__(self, folder, image_shape):
        from savedmodel_export.verify.c_api import LoadedModel

        started = time.perf_counter()
        self._model = LoadedModel(folder)
        self._seconds = time.perf_counter() - started
        self._image = np.zeros((1, *image_shape), "float32")

    def loading(self):
        """Returns the peak memory in bytes, and the seconds, of loading."""
        return peak_memory(), self._seconds

    def peak_after_an_image(self):
        """Answers one image and returns the peak memory in bytes."""
        self._model.run("serving_default", {"images": self._image})
        return peak_memory()


def loading_table(rows):
    """Returns the rows as a Markdown table."""
    columns = ["model", "precision", "files, MiB", "peak at load, MiB"]
    columns += ["after one image, MiB", "seconds to load"]
    return table(
        columns,
        [
            [
                *(row["model"], row["precision"]),
                *(
                    number(row[name] / MIB, 0)
                    for name in ("files", "loaded", "answered")
                ),
                number(row["seconds"], 1),
            ]
            for row in rows
        ],
    )


if __name__ == "__main__":
    command.run(main, define_flags)
