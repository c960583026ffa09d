"""The adaptive policy against simulated servers: simulated time, fixed seeds."""

import json

import numpy as np
import pytest

from benchmarks.adaptive import __main__ as adaptive
from benchmarks.adaptive.queue_simulation import Server, poisson_arrivals, simulate
from savedmodel_export.client.adaptive_policy import AdaptivePolicy

# Images per second at each N: as measured on one machine, and other ratios and scales.
TABLES = {
    "measured": {1: 18.9, 2: 25.0, 4: 39.5},
    "slow": {1: 1.0, 2: 1.5, 4: 2.1},
    "fast": {1: 4000.0, 2: 7000.0, 4: 12000.0},
    "two": {1: 18.9, 4: 39.5},
}
SEEDS = range(3)


def target_of(server):
    return adaptive.TARGET_SERVICE_TIMES * server.seconds(1)


@pytest.mark.parametrize("rates", TABLES.values(), ids=TABLES)
def test_holds_the_target_and_returns(rates):
    server = Server(rates, spread=0.1)
    target, spans, returned = target_of(server), adaptive.spans(server), []
    for seed in SEEDS:
        result = adaptive.run(server, target, seed, ["adaptive"])["adaptive"]
        for phase, span in spans.items():
            assert adaptive.p95(result, span) < target, (phase, seed)
        assert result["moves"] <= 8
        numbers = adaptive.within(result, "num_mux", spans["low again, settled"])
        assert numbers.min() == 1
        returned.append(np.mean(numbers == 1))
    # A burst raises N for a while at a low load too.
    assert np.mean(returned) > 0.7


def test_without_the_policy_the_latency_grows_as_long_as_the_load_lasts():
    server = Server(TABLES["measured"], spread=0.1)
    result = adaptive.run(server, target_of(server), 0, ["N = 1"])["N = 1"]
    start, end = adaptive.spans(server)["high"]
    middle = (start + end) / 2
    halves = [adaptive.p95(result, s) for s in ((start, middle), (middle, end))]
    assert halves[0] > 10 * target_of(server) and halves[1] > 1.5 * halves[0]


@pytest.mark.parametrize(
    "load",
    [pytest.param(load, marks=pytest.mark.large) for load in (0.5, 1.0, 1.4)] + [1.8],
)
@pytest.mark.parametrize("rates", TABLES.values(), ids=TABLES)
def test_does_not_oscillate(rates, load):
    server = Server(rates, spread=0.1)
    target, phases = target_of(server), [("constant", 1000, load)]
    for seed in SEEDS:
        runs = adaptive.run(server, target, seed, ["adaptive"], phases)
        assert runs["adaptive"]["moves"] <= 8
        assert adaptive.p95(runs["adaptive"], (0, np.inf)) < target


@pytest.mark.parametrize("num_clients", [2, 4])
def test_clients_that_share_a_server(num_clients):
    server = Server(TABLES["measured"], spread=0.1)
    target, unit = target_of(server), server.seconds(1)
    spans = adaptive.spans(server)
    loads = [(length * unit, load / unit) for _, length, load in adaptive.PHASES]
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        clients = [AdaptivePolicy((1, 2, 4), target * 1000) for _ in range(num_clients)]
        result = simulate(server, poisson_arrivals(rng, loads), clients, rng)
        assert adaptive.p95(result, spans["high, settled"]) < target
        numbers = adaptive.within(result, "num_mux", spans["low again, settled"])
        assert np.mean(numbers) < 2


def test_the_files(tmp_path):
    server = Server(TABLES["measured"])
    runs = adaptive.run(server, target_of(server), 0, ["adaptive", "N = 1"])
    curves = json.loads(json.dumps(adaptive.binned(runs, server)))
    num_bins = len(curves["seconds"])
    assert num_bins == sum(length for _, length, _ in adaptive.PHASES) / adaptive.BIN
    assert all(len(c["p95_seconds"]) == num_bins for c in map(curves.get, runs))
    assert np.mean(curves["load"][20:40]) == pytest.approx(1.8, rel=0.1)
    adaptive.draw(curves, 1.0, tmp_path / "adaptive.png")
    assert (tmp_path / "adaptive.png").read_bytes().startswith(b"\x89PNG")


def test_the_table():
    server = Server(TABLES["measured"])
    names = ["adaptive", "N = 4"]
    runs = [adaptive.run(server, target_of(server), seed, names) for seed in (0, 1)]
    lines = adaptive.phases_table(runs, server, target_of(server)).splitlines()
    assert len(lines) == 2 + len(adaptive.spans(server))
    assert len({line.count("|") for line in lines}) == 1
    assert "2 of 2" in lines[2] and lines[2].startswith("| low |")
