"""Draws the curves of trainings: `python -m benchmarks.curves --out=PNG WORKDIR...`."""

import json
import pathlib

from absl import app, flags

flags.DEFINE_string("out", "build/curves.png", "Where the image goes.")


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
    pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)


def main(argv):
    """Draws the runs named on the command line."""
    if len(argv) < 2:
        raise app.UsageError("Name one or more workdirs.")
    draw(argv[1:], flags.FLAGS.out)


if __name__ == "__main__":
    app.run(main)
