import pytest

from benchmarks.accuracy.frontier_report import (
    ON_FRONT,
    draw,
    front,
    frontier_table,
    summarise,
)
from benchmarks.accuracy.frontier_rows import Row, concat

ROWS = (
    Row("vit", "ViT"),
    Row("half", "fewer blocks"),
    Row("elastic", "elastic", concat((1, 2), "image", 3)),
)


def result(name, seed, accuracy, gmacs):
    return {
        "name": name,
        "seed": seed,
        "test_accuracy": accuracy,
        "num_test_images": 2_400,
        "gmacs_per_image": gmacs,
        "images_seen": 24_000,
        "seconds": 10.0 + seed,
    }


RESULTS = [
    result("elastic n2", 0, 0.55, 0.7),
    result("vit", 0, 0.60, 1.0),
    result("vit", 1, 0.62, 1.0),
    result("vit", 1, 0.64, 1.0),
    result("half", 0, 0.50, 0.75),
]
RATES = {
    "float32": {"vit": 100, "half": 200},
    "int8": {"vit": 300, "half": 150, "elastic n1": 300},
}


def test_seeds_are_averaged_in_the_order_of_the_rows():
    summaries = summarise(RESULTS, ROWS)
    assert list(summaries) == ["vit", "half", "elastic n2"]
    vit, half = summaries["vit"], summaries["half"]
    assert vit.accuracies == [0.60, 0.64] and vit.seconds == 10.5
    # 0.5 * 0.5 / 2400 of the images; of the seeds 0.0004 more.
    assert half.error == pytest.approx((0.25 / 2_400) ** 0.5)
    assert vit.error == pytest.approx((0.62 * 0.38 / 2_400 + 0.0004) ** 0.5)


def test_before_speed_is_measured_the_cost_stands_for_it():
    summaries = summarise(RESULTS, ROWS)
    assert front(summaries) == ["vit", "elastic n2"]
    text = frontier_table(summaries)
    assert "images/s" not in text and text.count(ON_FRONT) == 2
    assert "| vit | 1 | 62.0 ± 2.2 | 2 | 24,000 | 10 | 1.0000 | 1.00 |" in text


def test_each_row_counts_in_its_best_precision():
    summaries = summarise(RESULTS, ROWS, RATES)
    # What was not measured cannot be compared with what was.
    assert list(summaries) == ["vit", "half"]
    assert [found.fastest for found in summaries.values()] == ["int8", "float32"]
    assert front(summaries) == ["vit"]
    text = frontier_table(summaries, ["half"])
    assert "| 200 | 150 | 0.67 |  |" in text and "vit |" not in text


def test_no_label_covers_another_or_a_point(tmp_path, monkeypatch):
    # Many rows close to each other.
    rows = [Row(f"a long name {index}", f"family {index % 3}") for index in range(20)]
    results = [
        result(row.name, 0, 0.6 + index % 5 / 100, 1 + index // 5 / 20)
        for index, row in enumerate(rows)
    ]
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    seen = []

    def savefig(figure, path):
        renderer = figure.canvas.get_renderer()
        (axes,) = figure.axes
        seen.extend(Text.get_window_extent(text, renderer) for text in axes.texts)

    monkeypatch.setattr(Figure, "savefig", savefig)
    draw(summarise(results, rows), "title", tmp_path / "front.png")
    assert len(seen) == 20
    pairs = [(a, b) for i, a in enumerate(seen) for b in seen[:i] if a.overlaps(b)]
    assert not pairs


def test_a_plot_is_written(tmp_path):
    draw(summarise(RESULTS, ROWS, RATES), "title", tmp_path / "front.png")
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")
