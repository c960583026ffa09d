"""The results to read: Markdown, CSV for other programs, a picture."""

import csv
import io

from benchmarks.markdown import number, settings_line, table
from benchmarks.speed.results import images_per_second

# Field of an entry -> title and digits.
RATIOS = {
    "over_plain_keras": ("x plain Keras", 2),
    "over_fused_vit": ("x fused ViT", 3),
    "flop_ratio": ("FLOP ratio", 3),
    "of_ideal": ("of ideal", 3),
    "of_ideal_executed": ("of ideal, executed", 3),
    "of_gemm_limit": ("of GEMM limit", 3),
}


def markdown(results, names=None, ratios=tuple(RATIOS), details=True):
    """Returns the table of the results.

    Args:
        results: dict, as `results.collect` makes it.
        names: rows to show, all by default.
        ratios: fields of `RATIOS` to show.
        details: bool. Whether to show what is executed, latencies and memory.
    """
    settings = results["settings"]
    reference = settings["reference_batch_size"]
    sizes = settings["batch_sizes"]
    columns = ["model", "GMACs"]
    columns += ["executed"] if details else []
    columns += [f"batch {size}" for size in sizes]
    if details:
        columns += [
            f"p50 / p95 ms, batch {reference}",
            f"peak MiB, batch {settings['memory_batch_size']}",
        ]
    columns += [RATIOS[field][0] for field in ratios]
    entries = results["rows"]
    lines = []
    for name in entries if names is None else filter(entries.__contains__, names):
        entry = entries[name]
        line = [name, number(entry["gmacs_per_image"], 2)]
        line += [number(entry["gmacs_executed"], 2)] if details else []
        line += [number(images_per_second(entry, size), 1) for size in sizes]
        if details:
            line += [_latency(entry, reference)]
            line += [number(entry.get("peak_memory_mib"), 0)]
        line += [number(entry.get(field), RATIOS[field][1]) for field in ratios]
        lines.append(line)
    return table(columns, lines)


def _latency(entry, batch_size):
    taken = entry["batches"].get(str(batch_size), {})
    if "p95_ms" not in taken:
        return None
    return f"{taken['p50_ms']:,.0f} / {taken['p95_ms']:,.0f}"


def csv_text(results):
    """Returns a line per row and batch size, all that was measured."""
    lines = []
    for name, entry in results["rows"].items():
        common = {key: value for key, value in entry.items() if key != "batches"}
        lines += [
            {"name": name, "batch_size": batch_size, **taken, **common}
            for batch_size, taken in entry["batches"].items()
        ]
    columns = dict.fromkeys(column for line in lines for column in line)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def page(results):
    """Returns the whole Markdown file: machine, settings, table, what was left out."""
    settings = dict(results["settings"])
    skipped = settings.pop("skipped", {})
    limits = {name: f"{rate:.0f}" for name, rate in results["gemm_gflops"].items()}
    lines = [
        "# Throughput",
        settings_line("Machine", results["machine"]),
        settings_line("Settings", settings),
        settings_line("Bare matrix product, GFLOP/s", limits),
        "Columns `batch B`: images/s, the median of the rounds.",
        markdown(results),
        *(f"Not measured: {name} ({why})." for name, why in skipped.items()),
    ]
    return "\n\n".join(lines) + "\n"


def draw(results, path):
    """Draws images/s at the reference batch size, a bar per row, into a PNG."""
    from matplotlib.figure import Figure

    batch_size = results["settings"]["reference_batch_size"]
    rates = {
        name: rate
        for name, entry in results["rows"].items()
        if (rate := images_per_second(entry, batch_size))
    }
    names = sorted(rates, key=rates.get)
    figure = Figure(figsize=(8, 1 + 0.27 * len(names)))
    axes = figure.subplots()
    runtimes = [results["rows"][name]["runtime"] for name in names]
    bars = axes.barh(
        names,
        [rates[name] for name in names],
        color=["tab:blue" if r == "tensorflow" else "tab:gray" for r in runtimes],
    )
    axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlabel(f"images/s at batch {batch_size} (gray: other runtimes)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=80, bbox_inches="tight")
