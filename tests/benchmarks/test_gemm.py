import numpy as np
import pytest

from benchmarks import gemm


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_the_product_is_right_in_every_precision(precision, monkeypatch):
    monkeypatch.setattr(gemm, "GEMM_SHAPE", (6, 64, 32))
    exact = np.asarray(gemm.gemm_function("float32")())
    product = gemm.gemm_function(precision)
    for _ in range(2):
        found = np.asarray(product()).astype("float32")
    tolerance = {"float32": 0, "bfloat16": 0.02, "int8": 0.05}[precision]
    assert np.abs(found - exact).max() <= tolerance * np.abs(exact).max()


def test_operations_are_counted_by_the_shape():
    rows, inner, columns = gemm.GEMM_SHAPE
    assert gemm.GEMM_FLOPS == 2 * rows * inner * columns
