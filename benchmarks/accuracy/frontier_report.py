"""The frontier's results as a table and a plot, over the seeds."""

import dataclasses
import pathlib
import statistics

from benchmarks.accuracy import pareto
from benchmarks.accuracy.frontier_rows import ELASTIC_GRAPHS, trainings

ON_FRONT = "**yes**"


@dataclasses.dataclass(frozen=True)
class Summary:
    """A row's results over its seeds.

    Attributes:
        graph: str, whose speed it has.
        accuracies: list of float, of the test images, one per seed.
        gmacs_per_image: float.
        images_seen: int. In training, with what its start had seen.
        cpu_seconds: float, the mean over the seeds.
        teacher_cpu_seconds: float, likewise; 0 without a teacher.
    """

    graph: str
    accuracies: list
    gmacs_per_image: float
    images_seen: int
    cpu_seconds: float
    teacher_cpu_seconds: float

    @property
    def accuracy(self):
        return statistics.mean(self.accuracies)

    @property
    def spread(self):
        """Standard deviation over the seeds, `None` of one."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None


def summarise(rows):
    """Returns dict, row name -> `Summary`, in the order of the trainings.

    Args:
        rows: list of dict from a results file, all of the same settings.
    """
    summaries = {}
    for training in trainings().values():
        for row in training.rows:
            # A seed that was trained twice counts once.
            found = {
                found["seed"]: found for found in rows if found["name"] == row.name
            }
            if found:
                summaries[row.name] = _summary(row.graph, list(found.values()))
    return summaries


def _summary(graph, rows):
    teachers = [row["teacher"]["cpu_seconds"] for row in rows if row["teacher"]]
    return Summary(
        graph,
        [row["test_accuracy"] for row in rows],
        rows[0]["gmacs_per_image"],
        rows[0]["images_seen"],
        statistics.mean(row["cpu_seconds"] for row in rows),
        statistics.mean(teachers) if teachers else 0.0,
    )


def fronts(summaries, images_per_second=None):
    """Finds who is on the front, of accuracy and each measure of speed.

    Args:
        summaries: dict of `summarise`.
        images_per_second: dict, precision -> graph -> images/s, or `None` before
            they were measured: the cost in GMACs then stands for the speed.

    Returns:
        dict, label of the measure -> pair of dict, row name -> its value, and list
        of the names on the front. Of GMACs less is better.
    """
    measures = {}
    for precision, rates in (images_per_second or {}).items():
        measures[f"images/s, {precision}"] = {
            name: rates[summary.graph]
            for name, summary in summaries.items()
            if summary.graph in rates
        }
    sign = 1
    if not measures:
        sign = -1
        measures["GMACs per image"] = {
            name: summary.gmacs_per_image for name, summary in summaries.items()
        }
    return {
        label: (
            values,
            pareto.front(
                {
                    name: (sign * value, summaries[name].accuracy)
                    for name, value in values.items()
                }
            ),
        )
        for label, values in measures.items()
    }


def table(summaries, measured):
    """Returns a Markdown table.

    Args:
        summaries: dict of `summarise`.
        measured: dict of `fronts`.
    """
    speeds = [label for label in measured if label.startswith("images/s")]
    columns = [
        "model",
        "test accuracy",
        "seeds",
        "images seen",
        "core-seconds",
        "GMACs per image",
        *speeds,
        *(f"on the front, {label}" for label in measured),
    ]
    lines = [columns, ["---"] * len(columns)]
    for name, summary in summaries.items():
        core_seconds = f"{summary.cpu_seconds:.0f}"
        if summary.teacher_cpu_seconds:
            core_seconds += f" + {summary.teacher_cpu_seconds:.0f} (teacher)"
        spread = "" if summary.spread is None else f" ± {100 * summary.spread:.1f}"
        rates = (measured[label][0].get(name) for label in speeds)
        marks = (ON_FRONT if name in on else "" for _, on in measured.values())
        lines.append(
            [
                name,
                f"{100 * summary.accuracy:.1f}{spread}",
                str(len(summary.accuracies)),
                f"{summary.images_seen:,}",
                core_seconds,
                f"{summary.gmacs_per_image:.4f}",
                *("" if rate is None else f"{rate:.0f}" for rate in rates),
                *marks,
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def elastic_table(summaries):
    """Returns a Markdown table: the elastic model against a dedicated one at each N.

    Args:
        summaries: dict of `summarise`.
    """
    lines = [
        "| N | dedicated model | its accuracy | elastic | difference, points |",
        "|---|---|---|---|---|",
    ]
    for num_mux, dedicated in ELASTIC_GRAPHS.items():
        own = 100 * summaries[dedicated].accuracy
        shared = 100 * summaries[f"elastic n{num_mux}"].accuracy
        difference = f"{shared - own:+.1f}"
        lines.append(
            f"| {num_mux} | {dedicated} | {own:.1f} | {shared:.1f} | {difference} |"
        )
    return "\n".join(lines)


def draw(summaries, measured, out):
    """Draws accuracy against each measure of speed, with the front.

    Args:
        summaries: dict of `summarise`.
        measured: dict of `fronts`.
        out: path of the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8 * len(measured), 6), dpi=80, layout="constrained")
    panels = figure.subplots(1, len(measured), squeeze=False)[0]
    for axes, (label, (values, on_front)) in zip(panels, measured.items(), strict=True):
        for name, value in values.items():
            summary = summaries[name]
            color = "C0" if name in on_front else "0.6"
            point = (value, 100 * summary.accuracy)
            axes.errorbar(*point, 100 * (summary.spread or 0.0), fmt="o", color=color)
            axes.annotate(
                name, point, (4, 3), textcoords="offset points", fontsize=7, color=color
            )
        axes.plot(
            [values[name] for name in on_front],
            [100 * summaries[name].accuracy for name in on_front],
            color="C0",
        )
        axes.set(xlabel=label, ylabel="test accuracy in %")
    pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)
