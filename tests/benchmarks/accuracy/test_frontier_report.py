from benchmarks.accuracy.frontier_report import ON_FRONT, draw, fronts, summarise, table


def result(name, seed, accuracy, gmacs=1.0, teacher=None):
    return {
        "name": name,
        "seed": seed,
        "test_accuracy": accuracy,
        "gmacs_per_image": gmacs,
        "images_seen": 24_000,
        "cpu_seconds": 10.0 + seed,
        "teacher": teacher,
    }


ROWS = [
    result("concat n2 group distilled", 0, 0.55, 0.7, {"cpu_seconds": 7.0}),
    result("vit", 0, 0.60),
    result("vit", 1, 0.62),
    result("vit", 1, 0.64),
    result("vit 1/2 blocks", 0, 0.50, 0.5),
    result("vit narrow", 0, 0.45, 0.6),
]
RATES = {
    "float32": {
        "vit": 100,
        "vit 1/2 blocks": 200,
        "vit narrow": 250,
        "concat n2 group": 90,
    }
}


def marked(text):
    return [line.split(" | ")[0][2:] for line in text.splitlines() if ON_FRONT in line]


def test_seeds_are_averaged_in_the_order_of_the_trainings():
    summaries = summarise(ROWS)
    assert list(summaries) == [
        "vit",
        "vit 1/2 blocks",
        "vit narrow",
        "concat n2 group distilled",
    ]
    assert summaries["vit"].accuracies == [0.60, 0.64]
    assert round(summaries["vit"].accuracy, 6) == 0.62
    assert round(summaries["vit"].spread, 6) == round(0.04 / 2**0.5, 6)
    assert summaries["vit"].cpu_seconds == 10.5
    assert summaries["vit narrow"].spread is None


def test_before_speed_is_measured_the_cost_marks_the_front():
    summaries = summarise(ROWS)
    text = table(summaries, fronts(summaries))
    assert marked(text) == ["vit", "vit 1/2 blocks", "concat n2 group distilled"]
    assert "on the front, GMACs per image" in text
    assert "| 62.0 ± 2.8 | 2 | 24,000 | 10 |" in text
    assert "10 + 7 (teacher)" in text


def test_speed_is_that_of_the_graph():
    summaries = summarise(ROWS)
    measured = fronts(summaries, RATES)
    values, on_front = measured["images/s, float32"]
    assert values["concat n2 group distilled"] == 90
    assert on_front == ["vit", "vit 1/2 blocks", "vit narrow"]
    text = table(summaries, measured)
    assert marked(text) == on_front
    # The header says so too.
    assert "| 250 |" in text and text.count("images/s, float32") == 2


def test_rows_without_a_measured_speed_are_shown_without_mark():
    summaries = summarise(ROWS)
    text = table(summaries, fronts(summaries, {"float32": {"vit": 100}}))
    assert marked(text) == ["vit"] and "vit narrow" in text


def test_a_plot_is_written(tmp_path):
    summaries = summarise(ROWS)
    out = tmp_path / "new" / "front.png"
    draw(summaries, fronts(summaries, RATES | {"bfloat16": RATES["float32"]}), out)
    assert out.read_bytes().startswith(b"\x89PNG")
