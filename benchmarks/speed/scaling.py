"""How speed and memory change with N, image size and batch, against the FLOPs.

`python -m benchmarks.speed.scaling` measures ViT-S/16 and ConcatPlexer split after 3
blocks, in bfloat16, as exported and reloaded; 6 to 8 minutes on two cores. Beside each
speed stands the one that the count of the FLOPs predicts from the ViT's own.
"""

import dataclasses
import json
import math
import tempfile

from absl import flags

from benchmarks import command, folders, machine
from benchmarks.markdown import number, settings_line, table
from benchmarks.speed.measuring import export_rows, memory_of, time_rows
from benchmarks.speed.results import batch_entry
from benchmarks.speed.rows import PRECISIONS, concat_row, vit_row
from benchmarks.timing import MIN_REPEATS

DEPTH = 3
# How long a row is repeated within a round.
MIN_SECONDS = 0.2
AXES = {
    "num_mux": "images per sequence, N",
    "image_size": "side of the images, pixels",
    "batch_size": "images per request",
}


def define_flags():
    """Defines the command's flags."""
    flags.DEFINE_string("size", "vit_s16", "The ViT.")
    flags.DEFINE_enum("precision", "bfloat16", PRECISIONS, "Of the graphs.")
    flags.DEFINE_list("num_mux", ["1", "2", "4", "8", "16"], "N; 1 must be there.")
    flags.DEFINE_integer("compared", 4, "N shown beside the ViT along the other axes.")
    flags.DEFINE_list("image_sizes", ["224", "384", "512"], "Sides of the images.")
    flags.DEFINE_list("batch_sizes", "1 4 8 16 32 64".split(), "At the first side.")
    flags.DEFINE_integer("batch_size", 32, "Images per request where N varies.")
    flags.DEFINE_integer("large_batch_size", 8, "Images where the side varies.")
    flags.DEFINE_integer("repeats", MIN_REPEATS, "Rounds.", MIN_REPEATS)
    flags.DEFINE_integer("threads", 0, "Cores; 0: all.", 0)
    command.define_path("out", "benchmarks/results", "Folder of the results.")


def main(values):
    """Measures, writes the files and prints the tables."""
    out = folders.own(values.out)
    threads = values.threads or machine.num_cores()
    machine.set_environment(threads)
    all_num_mux, sides, batch_sizes = (
        [int(text) for text in given]
        for given in (values.num_mux, values.image_sizes, values.batch_sizes)
    )
    # N and batch at the first side; the two models at every other side.
    plans = [
        ([(num_mux, sides[0]) for num_mux in all_num_mux], batch_sizes),
        (
            [(n, side) for side in sides[1:] for n in (1, values.compared)],
            [values.large_batch_size],
        ),
    ]
    points = []
    with tempfile.TemporaryDirectory() as folder:
        for index, (models, sizes) in enumerate(plans):
            points += measure(models, sizes, values, threads, f"{folder}/{index}")
    add_predictions(points)
    results = {
        "machine": machine.description(),
        "settings": {
            "size": values.size,
            "precision": values.precision,
            "threads": threads,
            "repeats": values.repeats,
            # Where the other axes stand while one varies.
            "base": {
                "num_mux": {
                    "image_size": sides[0],
                    "batch_size": values.batch_size,
                    "compared": values.compared,
                },
                "image_size": {"batch_size": values.large_batch_size},
                "batch_size": {"image_size": sides[0]},
            },
        },
        "points": points,
    }
    (out / "scaling.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "scaling.md").write_text(page(results))
    draw(results, out / "scaling.png")
    print(page(results))


def measure(models, batch_sizes, values, threads, folder):
    """Returns the points of some models, pairs of N and side, at all batch sizes."""
    rows = {
        model: scaling_row(values.size, *model, values.precision) for model in models
    }
    exported = export_rows(list(rows.values()), folder)
    paths = {name: costs["path"] for name, costs in exported.items()}
    timings = dict(
        time_rows(
            list(rows.values()),
            paths,
            threads,
            batch_sizes,
            values.repeats,
            MIN_SECONDS,
        )
    )
    points = []
    for (num_mux, side), row in rows.items():
        for batch_size in batch_sizes:
            stages = exported[row.name]["gmacs_by_stage"]
            memory = memory_of(row, paths[row.name], threads, batch_size)
            points.append(
                {
                    "num_mux": num_mux,
                    "image_size": side,
                    "batch_size": batch_size,
                    "gmacs": predicted_gmacs(stages, num_mux, batch_size),
                    "peak_memory_mib": memory / 2**20,
                    **batch_entry(timings[batch_size][row.name], batch_size),
                }
            )
    return points


def scaling_row(size, num_mux, image_size, precision):
    """The fused ViT for N = 1, else a ConcatPlexer split after `DEPTH` blocks."""
    if num_mux == 1:
        row = vit_row(size, precision)
    else:
        row = concat_row(size, num_mux, precision, patchifier_depth=DEPTH)
    return dataclasses.replace(
        row, name=f"N = {num_mux}, {image_size} px", image_size=image_size
    )


def predicted_gmacs(stages, num_mux, batch_size):
    """GMACs per image at a batch size.

    A last group that is not full costs as much as a full one.

    Args:
        stages: dict, stage -> GMACs per image of full groups.
        num_mux: int. N.
        batch_size: int.
    """
    filled = math.ceil(batch_size / num_mux) * num_mux / batch_size
    shared = stages["backbone"]
    return sum(stages.values()) + (filled - 1) * shared


def add_predictions(points):
    """Adds `predicted`, images/s, to every point.

    From the ViT's speed at the same image size and batch, and the ratio of the
    costs; for the ViT itself from its speed at the smallest image size.

    Args:
        points: list of dicts with `num_mux`, `image_size`, `batch_size`, `gmacs`
            and `images_per_second`.
    """
    smallest = min(point["image_size"] for point in points)
    vits = {
        (point["image_size"], point["batch_size"]): point
        for point in points
        if point["num_mux"] == 1
    }
    for point in points:
        side = smallest if point["num_mux"] == 1 else point["image_size"]
        if (side, point["batch_size"]) not in vits:
            raise ValueError(
                f"No ViT of {side} px at batch {point['batch_size']} was measured: "
                "--num_mux must hold 1, and --batch_sizes the --large_batch_size."
            )
        peer = vits[side, point["batch_size"]]
        ratio = peer["gmacs"] / point["gmacs"]
        point["predicted"] = peer["images_per_second"] * ratio


def page(results):
    """Returns the Markdown file: settings and a table per axis."""
    lines = ["# Scaling"]
    for part in ("machine", "settings"):
        flat = {
            name: value
            for name, value in results[part].items()
            if isinstance(value, str | int)
        }
        lines.append(settings_line(part.capitalize(), flat))
    lines.append(
        "Predicted: the ViT's speed at the same batch and image size times the ratio "
        "of the FLOPs; for the ViT, its speed at the smallest images likewise."
    )
    for axis, title in AXES.items():
        lines += [f"## Against the {title}", axis_table(results, axis)]
    return "\n\n".join(lines) + "\n"


def axis_table(results, axis):
    """Returns the Markdown table of the points along an axis."""
    columns = [*AXES, "GMACs", "images/s", "predicted", "of predicted", "peak MiB"]
    lines = []
    for point in points_along(results, axis):
        speed, predicted = point["images_per_second"], point["predicted"]
        lines.append(
            [
                *(str(point[name]) for name in AXES),
                number(point["gmacs"], 2),
                number(speed, 1),
                number(predicted, 1),
                number(speed / predicted, 2),
                number(point.get("peak_memory_mib"), 0),
            ]
        )
    return table(columns, lines)


def points_along(results, axis):
    """Returns the points in which only this axis, and N = 1 or 4, differ."""
    base = results["settings"]["base"]
    others = [name for name in AXES if name not in (axis, "num_mux")]
    points = [
        point
        for point in results["points"]
        if all(point[name] == base[axis][name] for name in others)
        and (axis == "num_mux" or point["num_mux"] in (1, base["num_mux"]["compared"]))
    ]
    return sorted(points, key=lambda point: (point["num_mux"], point[axis]))


def draw(results, path):
    """Draws measured speed, predicted speed and memory against each axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.5), layout="tight")
    panels = figure.subplots(2, len(AXES), sharex="col")
    for column, (axis, title) in enumerate(AXES.items()):
        points = points_along(results, axis)
        lines = {}
        for point in points:
            label = "" if axis == "num_mux" else f"N = {point['num_mux']}"
            lines.setdefault(label, []).append(point)
        speed, memory = panels[:, column]
        for index, (label, line) in enumerate(lines.items()):
            x = [point[axis] for point in line]
            colour = f"C{index}"
            measured = [point["images_per_second"] for point in line]
            speed.plot(x, measured, "o-", color=colour, label=f"{label} measured")
            predicted = [point["predicted"] for point in line]
            speed.plot(x, predicted, "--", color=colour, label=f"{label} predicted")
            taken = [p for p in line if "peak_memory_mib" in p]
            memory.plot(
                [point[axis] for point in taken],
                [point["peak_memory_mib"] for point in taken],
                *("o-",),
                color=colour,
                label=label,
            )
        ticks = sorted({point[axis] for point in points})
        for panel in (speed, memory):
            panel.set_xscale("log", base=2)
            panel.set_xticks(ticks, [str(tick) for tick in ticks])
            panel.minorticks_off()
            panel.set_ylim(bottom=0)
            panel.grid(alpha=0.3)
        memory.set_xlabel(title)
        speed.legend(fontsize=7)
    panels[0, 0].set_ylabel("images/s")
    panels[1, 0].set_ylabel("peak memory, MiB")
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    command.run(main, define_flags, measures=True)
