import numpy as np
import pytest

from savedmodel_export.fused.int8 import kernel_maxima, steps_of
from savedmodel_export.fused.ranges import choose, smoothing_scales


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(256, 32)).astype("float32")


@pytest.fixture
def kernel():
    return np.random.default_rng(1).normal(size=(32, 16)).astype("float32")


def error_at_largest(rows, kernel):
    maximum, maxima = np.abs(rows).max(), kernel_maxima(kernel)
    inputs = steps_of(rows, maximum) * (maximum / 127)
    weights = steps_of(kernel, maxima) * (maxima / 127)
    exact = rows @ kernel
    return np.square(inputs @ weights - exact).sum() / np.square(exact).sum()


def test_a_rare_large_value_is_cut(rows, kernel):
    rows[0, 0] = 60.0
    # Seen once in very many rows: the sample holds one.
    rows = np.tile(rows, (64, 1))
    rows[256:, 0] = rows[256, 1]
    _, maximum, error = choose(rows, np.abs(rows).max(0), kernel, can_scale=False)
    assert maximum < 0.5 * 60
    assert error < 0.5 * error_at_largest(rows, kernel)


def test_scales_even_out_large_channels(rows, kernel):
    rows[:, 3] *= 100.0
    kernel[3] /= 100.0
    maxima = np.abs(rows).max(0)
    scales, _, error = choose(rows, maxima, kernel, can_scale=True)
    assert scales[3] > 5 * np.median(scales)
    assert error < 0.05 * error_at_largest(rows, kernel)
    plain, _, plain_error = choose(rows, maxima, kernel, can_scale=False)
    assert (plain == 1).all()
    assert error < 0.1 * plain_error


def test_a_dead_channel_keeps_its_scale(rows, kernel):
    maxima = np.abs(rows).max(0)
    maxima[5], kernel[7] = 0.0, 0.0
    scales = smoothing_scales(maxima, kernel, 0.5)
    assert scales[5] == scales[7] == 1
    assert np.isfinite(scales).all() and (scales > 0).all()
    rows[:, 5] = 0.0
    *_, error = choose(rows, maxima, kernel, can_scale=True)
    assert 0 < error < 1e-3
