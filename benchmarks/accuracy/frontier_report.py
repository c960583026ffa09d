"""A frontier's results as a table and a plot, over the seeds."""

import dataclasses
import math
import statistics

from benchmarks.accuracy import pareto
from benchmarks.markdown import number, table

ON_FRONT = "**yes**"
MARKERS = {1: "o", 2: "s", 4: "^"}
# Where a label may stand: horizontal and vertical distance in points, nearest first.
PLACES = sorted(
    (
        (sign * distance, height - 3)
        for distance in (6, 16, 30, 50, 80)
        for height in range(-80, 81, 8)
        for sign in (1, -1)
    ),
    key=lambda place: math.hypot(*place),
)


@dataclasses.dataclass(frozen=True)
class Summary:
    """A row's results over its seeds.

    Attributes:
        family: str.
        num_mux: int.
        accuracies: list of float, of the test images, one per seed.
        num_test_images: int.
        gmacs_per_image: float.
        images_seen: int.
        seconds: float, of training, the mean over the seeds.
        rates: dict, precision -> images/s; empty before they are measured.
    """

    family: str
    num_mux: int
    accuracies: list
    num_test_images: int
    gmacs_per_image: float
    images_seen: int
    seconds: float
    rates: dict

    @property
    def accuracy(self):
        """The mean over the seeds."""
        return statistics.mean(self.accuracies)

    @property
    def error(self):
        """Standard error: of so few test images, and of so few seeds."""
        mean, seeds = self.accuracy, len(self.accuracies)
        of_images = mean * (1 - mean) / self.num_test_images
        of_seeds = statistics.variance(self.accuracies) / seeds if seeds > 1 else 0.0
        return math.sqrt(of_images + of_seeds)

    @property
    def fastest(self):
        """The precision in which it is fastest, `None` before they are measured."""
        return max(self.rates, key=self.rates.get) if self.rates else None

    @property
    def speed(self):
        """Images/s in the fastest precision; before they are measured, 1/GMACs."""
        return max(self.rates.values(), default=1 / self.gmacs_per_image)


def summarise(results, rows, images_per_second=None):
    """Returns dict, name -> `Summary`, in the order of the rows.

    Args:
        results: list of dict from a results file, of one protocol and data set.
        rows: sequence of `Row`.
        images_per_second: dict, precision -> name -> images/s, or `None`.
    """
    summaries = {}
    for row in rows:
        for name, num_mux in row.results:
            # A seed that was trained twice counts once.
            found = {r["seed"]: r for r in results if r["name"] == name}
            if not found:
                continue
            first = next(iter(found.values()))
            summaries[name] = Summary(
                row.family,
                num_mux,
                [r["test_accuracy"] for r in found.values()],
                first["num_test_images"],
                first["gmacs_per_image"],
                first["images_seen"],
                statistics.mean(r["seconds"] for r in found.values()),
                {
                    precision: rates[name]
                    for precision, rates in (images_per_second or {}).items()
                    if name in rates
                },
            )
    if any(summary.rates for summary in summaries.values()):
        # A speed and a cost cannot stand on one axis.
        return {name: found for name, found in summaries.items() if found.rates}
    return summaries


def front(summaries):
    """Returns the names of the rows that no other beats in accuracy and speed."""
    return pareto.front(
        {name: (found.speed, found.accuracy) for name, found in summaries.items()}
    )


def frontier_table(summaries, names=None):
    """Returns a Markdown table.

    Args:
        summaries: dict of `summarise`.
        names: rows to show; all by default.
    """
    precisions = list(
        dict.fromkeys(p for found in summaries.values() for p in found.rates)
    )
    on_front = front(summaries)
    vit = summaries.get("vit")
    columns = ["model", "N", "test accuracy, %", "seeds", "images seen", "seconds"]
    columns += ["GMACs", *(f"images/s, {p}" for p in precisions), "x ViT", "on front"]
    lines = []
    for name in names or summaries:
        found = summaries[name]
        lines.append(
            [
                name,
                str(found.num_mux),
                f"{100 * found.accuracy:.1f} ± {100 * found.error:.1f}",
                str(len(found.accuracies)),
                f"{found.images_seen:,}",
                number(found.seconds, 0),
                number(found.gmacs_per_image, 4),
                *(number(found.rates.get(p), 0) for p in precisions),
                number(found.speed / vit.speed, 2) if vit else None,
                ON_FRONT if name in on_front else "",
            ]
        )
    return table(columns, lines)


def draw(summaries, title, path):
    """Draws accuracy against speed: a colour per family, a marker per N, the front.

    Args:
        summaries: dict of `summarise`.
        title: str.
        path: of the PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.5), dpi=90, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    families = list(dict.fromkeys(found.family for found in summaries.values()))
    colours = {family: f"C{index}" for index, family in enumerate(families)}
    for found in summaries.values():
        axes.errorbar(
            found.speed,
            100 * found.accuracy,
            100 * found.error,
            fmt=MARKERS.get(found.num_mux, "D"),
            color=colours[found.family],
            elinewidth=0.8,
            capsize=2,
        )
    best = [summaries[name] for name in front(summaries)]
    # Accuracy that can be had at this speed or a higher one.
    axes.step(
        [found.speed for found in best],
        [100 * found.accuracy for found in best],
        where="pre",
        color="0.5",
        linewidth=1,
        zorder=0,
    )
    handles = [
        *(axes.plot([], [], "o", color=c, label=f)[0] for f, c in colours.items()),
        *(
            axes.plot([], [], MARKERS.get(n, "D"), color="0.4", label=f"N = {n}")[0]
            for n in sorted({found.num_mux for found in summaries.values()})
        ),
    ]
    axes.legend(handles=handles, fontsize=8, loc="best")
    measured = any(found.rates for found in summaries.values())
    axes.set(
        title=title,
        xlabel="images/s in the fastest precision" if measured else "1 / GMACs",
        ylabel="test accuracy, %",
    )
    axes.grid(alpha=0.2)
    axes.margins(0.12)
    canvas.draw()
    _place_labels(axes, canvas.get_renderer(), summaries, colours)
    figure.savefig(path)


def _place_labels(axes, renderer, summaries, colours):
    """Writes each name beside its point, where it covers no point, bar or name."""
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    taken = []
    for found in summaries.values():
        low, high = (
            axes.transData.transform((found.speed, 100 * (found.accuracy + error)))
            for error in (-found.error, found.error)
        )
        taken.append(Bbox([low - 3, high + 3]))
        middle = (low + high) / 2
        taken.append(Bbox([middle - 5, middle + 5]))
    if legend := axes.get_legend():
        taken.append(legend.get_window_extent(renderer))
    frame = axes.get_window_extent(renderer)
    for name, found in summaries.items():
        for place in PLACES:
            label = axes.annotate(
                name,
                (found.speed, 100 * found.accuracy),
                place,
                textcoords="offset points",
                ha="left" if place[0] > 0 else "right",
                fontsize=7.5,
                color=colours[found.family],
                arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.5},
            )
            label.set_in_layout(False)
            # Of the words; the label's own would hold its line to the point.
            label.update_positions(renderer)
            box = Text.get_window_extent(label, renderer)
            inside = (
                frame.x0 < box.x0
                and box.x1 < frame.x1
                and frame.y0 < box.y0
                and box.y1 < frame.y1
            )
            if inside and not any(box.overlaps(other) for other in taken):
                break
            if place != PLACES[-1]:
                label.remove()
        taken.append(box)
