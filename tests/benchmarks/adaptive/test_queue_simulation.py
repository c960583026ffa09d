import numpy as np
import pytest

from benchmarks.adaptive.queue_simulation import Server, poisson_arrivals, simulate
from savedmodel_export.client.adaptive_policy import AdaptivePolicy

SERVER = Server({1: 8.0, 2: 16.0})


def fixed():
    return AdaptivePolicy((1,), target_p95_ms=1000)


def test_requests_are_served_in_turn():
    arrivals = [0.0, 0.25, 5.0]
    result = simulate(SERVER, arrivals, [fixed()], np.random.default_rng(0))
    assert result["sent"].tolist() == arrivals
    assert result["latency"].tolist() == [1.0, 1.75, 1.0]
    assert result["num_mux"].tolist() == [1, 1, 1]


def test_arrivals_follow_the_phases():
    rng = np.random.default_rng(0)
    arrivals = poisson_arrivals(rng, [(1000, 2.0), (500, 10.0)])
    assert np.all(np.diff(arrivals) >= 0)
    assert np.sum(arrivals < 1000) == pytest.approx(2000, rel=0.1)
    assert np.sum(arrivals >= 1000) == pytest.approx(5000, rel=0.1)


def test_the_mean_wait_is_the_one_of_theory():
    # Random arrivals, constant service: u / (2 (1 - u)) service times.
    rng = np.random.default_rng(0)
    arrivals = poisson_arrivals(rng, [(30_000, 0.5)])
    waits = simulate(SERVER, arrivals, [fixed()], rng)["latency"] - 1
    assert waits.mean() == pytest.approx(0.5, rel=0.05)


def test_service_times_vary_around_their_mean():
    rng = np.random.default_rng(0)
    server = Server({1: 8.0}, spread=0.5)
    latencies = simulate(server, np.arange(500) * 9.0, [fixed()], rng)["latency"]
    assert latencies.mean() == pytest.approx(1.0, rel=0.05)
    assert 0.5 <= latencies.min() < 0.6 and 1.4 < latencies.max() <= 1.5
