import pytest

import keras_concatplexer as kcp
from benchmarks.speed import training_steps


def test_ratios_are_to_the_vit_of_as_many_replicas():
    rates = {"vit": {"1": 100.0, "2": 50.0}, "n2": {"1": 150.0, "2": 60.0}}
    text = training_steps.rates_table(rates)
    assert "| n2 | 1 | 150 | 1.50 |" in text and "| n2 | 2 | 60 | 1.20 |" in text


@pytest.mark.large
def test_steps_of_one_device_and_two_replicas(monkeypatch):
    # Each step counts its images, and ends with a loss.
    monkeypatch.setattr(
        training_steps,
        "interleaved_seconds",
        lambda steps, repeats: {key: 8 / step() for key, step in steps.items()},
    )
    size = kcp.vit.ViTSize(16, 2, 2, 16, 2)
    rates = training_steps.measure(size, (8, 8, 1), 8)
    assert set(rates) == set(training_steps.wrappers())
    for by_count in rates.values():
        # One seed and batch: the same loss, whoever computes it.
        assert by_count["1"] > 0
        assert by_count["2"] == pytest.approx(by_count["1"], rel=0.05)
