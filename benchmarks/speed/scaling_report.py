"""The scaling as a table and a picture."""

from benchmarks.markdown import number, settings_line, table

AXES = {
    "num_mux": "images per sequence, N",
    "image_size": "side of the images, pixels",
    "batch_size": "images per request",
}


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
