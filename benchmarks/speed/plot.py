"""The results as a picture."""

from benchmarks.speed.ratios import images_per_second


def draw(results, path):
    """Draws images/s at the reference batch size, a bar per row, into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    batch_size = results["settings"]["reference_batch_size"]
    rates = {
        name: images_per_second(entry, batch_size)
        for name, entry in results["rows"].items()
    }
    names = sorted(rates, key=rates.get)
    figure, axes = pyplot.subplots(figsize=(8, 1 + 0.27 * len(names)))
    colours = {"tensorflow": "tab:blue"}
    bars = axes.barh(
        names,
        [rates[name] for name in names],
        color=[
            colours.get(results["rows"][name]["runtime"], "tab:gray") for name in names
        ],
    )
    axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlabel(f"images/s at batch {batch_size} (gray: other runtimes)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=80, bbox_inches="tight")
    pyplot.close(figure)
