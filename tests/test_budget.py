import json

import pytest

import keras_concatplexer as kcp

RESULTS = [
    {"num_mux": 1, "accuracy": 0.96, "images_per_second": 19.0},
    {"num_mux": 2, "accuracy": 0.95, "images_per_second": 25.0},
    {"num_mux": 4, "accuracy": 0.91, "images_per_second": 40.0},
]


@pytest.mark.parametrize(
    ("budget", "num_mux"),
    [
        ({"accuracy": 0.9}, 4),
        ({"accuracy": 0.95}, 2),
        ({"accuracy": 0.96}, 1),
        ({"images_per_second": 10}, 1),
        ({"images_per_second": 25}, 2),
        ({"images_per_second": 26}, 4),
        ({"accuracy": 0.9, "images_per_second": 20}, 2),
    ],
)
def test_floors(budget, num_mux):
    assert kcp.choose_num_mux(RESULTS, budget) == num_mux
    assert kcp.choose_num_mux(RESULTS[::-1], budget) == num_mux


def test_without_measured_speeds_a_greater_n_is_faster():
    accuracies = [{**row, "images_per_second": None} for row in RESULTS]
    assert kcp.choose_num_mux(accuracies, {"accuracy": 0.95}) == 2
    partly = [RESULTS[0], *accuracies[1:]]
    assert kcp.choose_num_mux(partly, {"accuracy": 0.95}) == 2


def test_a_measured_speed_counts_more_than_n():
    slow = [*RESULTS[:2], {**RESULTS[2], "images_per_second": 12.0}]
    assert kcp.choose_num_mux(slow, {"accuracy": 0.9}) == 2


def test_files(tmp_path):
    path = tmp_path / "results.json"
    for content in (RESULTS, {"model": "concatplexer", "per_num_mux": RESULTS}):
        path.write_text(json.dumps(content))
        assert kcp.choose_num_mux(path, {"accuracy": 0.95}) == 2
        assert kcp.choose_num_mux(str(path), {"images_per_second": 30}) == 4
    path.write_text(json.dumps({"accuracy": 0.5}))
    with pytest.raises(ValueError, match="one dict with 'num_mux' per N.*accuracy"):
        kcp.choose_num_mux(path, {"accuracy": 0.95})


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"accuracy": 0.97}, "No N meets.*accuracy 0.96 at num_mux 1"),
        ({"images_per_second": 50}, "No N meets.*images_per_second 40 at num_mux 4"),
        ({"accuracy": 0.96, "images_per_second": 25}, "No N meets"),
        ({"latency": 1}, "must be one of 'accuracy', 'images_per_second'"),
        ({}, "`budget` must be a dict"),
        (0.95, "`budget` must be a dict"),
    ],
)
def test_errors(budget, message):
    with pytest.raises(ValueError, match=message):
        kcp.choose_num_mux(RESULTS, budget)


def test_what_was_not_measured():
    for name in ("accuracy", "images_per_second"):
        rows = [RESULTS[0], {k: v for k, v in RESULTS[1].items() if k != name}]
        with pytest.raises(ValueError, match=rf"lack '{name}' for num_mux \[2\]"):
            kcp.choose_num_mux(rows, {"images_per_second": 1})
