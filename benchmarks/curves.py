"""Draws the curves of trainings: `benchmarks.curves --workdirs=A,B --out=PNG`."""

import json
import pathlib

from absl import flags

from benchmarks import command, folders


def define_flags():
    """Defines the command's flags."""
    flags.DEFINE_list("workdirs", [], "Folders of finished trainings.")
    command.define_path("out", "build/curves/curves.png", "Where the image goes.")


def draw(workdirs, out):
    """Draws loss and validation accuracy by epoch, a line per run.

    Args:
        workdirs: paths of finished trainings, each with a `results.json`.
        out: path of the PNG.

    Raises:
        ValueError: if a training has not finished.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), dpi=80, layout="constrained")
    panels = figure.subplots(1, 2)
    for workdir in map(pathlib.Path, workdirs):
        path = workdir / "results.json"
        if not path.is_file():
            raise ValueError(f"{workdir} holds no results.json: it has not finished.")
        history = json.loads(path.read_text())["history"]
        for axes, name in zip(panels, ("loss", "val_accuracy"), strict=True):
            epochs = range(1, len(history[name]) + 1)
            axes.plot(epochs, history[name], marker=".", label=workdir.name)
            axes.set(xlabel="epoch", ylabel=name)
    panels[1].legend()
    figure.savefig(out)


def main(values):
    """Draws the runs that the flags name."""
    if not values.workdirs:
        raise ValueError("Name one or more runs: --workdirs=FOLDER,FOLDER.")
    out = pathlib.Path(values.out)
    folders.own(out.parent)
    draw(values.workdirs, out)


if __name__ == "__main__":
    command.run(main, define_flags)
