import pytest

from benchmarks.speed.scaling import (
    add_predictions,
    draw,
    page,
    points_along,
    predicted_gmacs,
    scaling_row,
)


def test_a_group_that_is_not_full_costs_a_full_one():
    stages = {"patchifier": 2.0, "backbone": 1.0, "head": 0.5}
    assert predicted_gmacs(stages, 4, 8) == 3.5
    assert predicted_gmacs(stages, 4, 1) == 2.5 + 4
    assert predicted_gmacs(stages, 4, 6) == pytest.approx(2.5 + 8 / 6)


def test_rows_differ_by_name_and_depth_is_the_same():
    rows = [scaling_row("vit_s16", n, 224, "bfloat16") for n in (1, 2, 4)]
    assert [row.name for row in rows] == [f"N = {n}, 224 px" for n in (1, 2, 4)]
    assert dict(rows[1].arguments)["patchifier_depth"] == 3


@pytest.fixture
def results():
    def point(num_mux, image_size, batch_size, gmacs, rate):
        return {
            "num_mux": num_mux,
            "image_size": image_size,
            "batch_size": batch_size,
            "gmacs": gmacs,
            "images_per_second": rate,
            "peak_memory_mib": 100.0,
        }

    points = [point(n, 224, b, 4 / n, 10.0 * n) for n in (1, 2, 4) for b in (8, 32)]
    points += [point(n, 384, 8, 12 / n, 3.0 * n) for n in (1, 4)]
    add_predictions(points)
    base = {
        "num_mux": {"image_size": 224, "batch_size": 32, "compared": 4},
        "image_size": {"batch_size": 8},
        "batch_size": {"image_size": 224},
    }
    return {"machine": {"cpu": "x"}, "settings": {"base": base}, "points": points}


def test_predictions_and_axes(results, tmp_path):
    along = points_along(results, "num_mux")
    assert [point["num_mux"] for point in along] == [1, 2, 4]
    assert [point["predicted"] for point in along] == [10.0, 20.0, 40.0]
    along = points_along(results, "image_size")
    assert [(p["num_mux"], p["image_size"]) for p in along] == [
        *[(1, 224), (1, 384)],
        *[(4, 224), (4, 384)],
    ]
    # The large ViT from the small one; N = 4 from the ViT of its own size.
    assert along[1]["predicted"] == pytest.approx(10 * 4 / 12)
    assert along[3]["predicted"] == pytest.approx(12.0)
    assert "| 4 | 384 | 8 | 3.00 | 12.0 | 12.0 | 1.00 | 100 |" in page(results)
    draw(results, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_a_vit_of_the_same_batch_is_needed(results):
    points = [point for point in results["points"] if point["num_mux"] != 1]
    with pytest.raises(ValueError, match="No ViT of 224 px at batch 8"):
        add_predictions(points)
