import types

import numpy as np
import pytest

from benchmarks.accuracy import frontier_speed


@pytest.fixture
def infer(monkeypatch):
    """What models compute is not looked at; int8 refuses the model of N = 2."""

    def infer_at_each(models, precision, calibration):
        (num_mux,) = models
        if precision == "int8" and num_mux == 2:
            raise ValueError("int8 does not answer as float32")
        if precision == "float32" and num_mux == 4:
            raise ValueError("another mistake")
        found = types.SimpleNamespace(fused=True, predict=lambda images: images)
        return {num_mux: found}

    monkeypatch.setattr(frontier_speed, "infer_at_each", infer_at_each)
    monkeypatch.setattr(
        frontier_speed.kcp.models,
        "by_num_mux",
        lambda model: {1: model, 2: model, 4: 0},
    )


def test_a_row_that_int8_spoils_has_no_int8_speed(infer):
    model = types.SimpleNamespace(input_shape=(None, 8, 8, 3))
    images = np.zeros((2, 8, 8, 3), "float32")
    found = frontier_speed.measure({"a": (model, 1), "b": (model, 2)}, 2, images)
    assert found["without_int8"] == {"b": "int8 does not answer as float32"}
    rates = found["images_per_second"]
    assert set(rates["int8"]) == {"a"} and set(rates["float32"]) == {"a", "b"}
    with pytest.raises(ValueError, match="another mistake"):
        frontier_speed.measure({"c": (model, 4)}, 2, images)
