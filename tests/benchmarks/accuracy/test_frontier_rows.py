import pytest

import keras_concatplexer as kcp
from benchmarks.accuracy.frontier_rows import check, trainings


def test_each_row_has_one_name_and_the_graph_of_a_training():
    rows = [row for training in trainings().values() for row in training.rows]
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    assert {row.graph for row in rows} <= trainings().keys()
    assert {"elastic n1", "elastic n2", "elastic n4"} <= set(names)


def test_the_plain_alternatives_cost_less():
    size = kcp.vit.SIZES["vit_nano4"]
    cost = {
        name: kcp.flops.vit_cost(training.size(size), (32, 32, 3), 10).gmacs_per_image
        for name, training in trainings().items()
        if name.startswith("vit") and name != "vit half"
    }
    assert len(cost) == 5 and min(set(cost) - {"vit"}, key=cost.get) == "vit coarse"
    assert all(cost[name] < cost["vit"] for name in cost if name != "vit")


@pytest.mark.parametrize(
    "names, size, side, epochs, message",
    [
        (["vit", "vitt"], "vit_nano4", 32, 2, "no training 'vitt'. .* concat n2 group"),
        (["vit"], "vit_nano5", 32, 2, "Unknown `size`"),
        (["vit coarse"], "vit_nano4", 12, 2, "'vit coarse' cannot be built: .*patch"),
        (["vit", "vit half"], "vit_nano4", 32, 3, "'vit half' .* epochs=3"),
    ],
)
def test_what_cannot_run_is_refused(names, size, side, epochs, message):
    with pytest.raises(ValueError, match=message):
        check(names, size, (side, side, 3), 10, epochs)
