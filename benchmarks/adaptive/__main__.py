"""Latency under a load that comes and goes, with and without the adaptive policy.

`python -m benchmarks.adaptive` simulates a server that takes requests in turn, with the
service times of the measured images per second at each N, and random arrivals:
0.5 x what N = 1 sustains, then 1.8 x, then 0.5 x again. No time passes, no model runs.
It prints a table and writes the curves.
"""

import json
import pathlib

import numpy as np
from absl import flags

from benchmarks import command, folders
from benchmarks.adaptive.measured_rates import parse_rates, read_rates
from benchmarks.adaptive.queue_simulation import Server, poisson_arrivals, simulate
from benchmarks.markdown import table
from savedmodel_export.client.adaptive_policy import AdaptivePolicy

RESULTS = pathlib.Path(__file__).parents[1] / "results"
# (name, length in service times of N = 1, load as a share of what N = 1 sustains)
PHASES = (("low", 300, 0.5), ("high", 600, 1.8), ("low again", 500, 0.5))
# After a change of the load; the quiet periods of the return take most of it.
SETTLED = 200
# Room for the onset: an elastic model at N = 4 is twice as fast as at N = 1, so that
# 1.8 x the load keeps it busy for 90 % of the time; the 95th percentile of that queue
# alone is six service times of N = 1, and eleven in the worst of 20 seeds.
TARGET_SERVICE_TIMES = 12
BIN = 20


def make_policy(name, server, target):
    """Returns an `AdaptivePolicy`: `"adaptive"`, or `"N = <n>"`, which has one N."""
    choices = tuple(sorted(server.images_per_second))
    if name != "adaptive":
        choices = (int(name.removeprefix("N = ")),)
    return AdaptivePolicy(choices, target * 1000)


def run(server, target, seed, names, phases=PHASES):
    """Simulates each policy on the same arrivals.

    Args:
        server: `Server`.
        target: float. 95th percentile to stay below, in seconds.
        seed: int.
        names: names of policies; see `make_policy`.
        phases: see `PHASES`.

    Returns:
        dict, name of the policy -> what `simulate` returns, and `moves`, the number.
    """
    unit = server.seconds(min(server.images_per_second))
    loads = [(length * unit, load / unit) for _, length, load in phases]
    runs = {}
    for name in names:
        rng = np.random.default_rng(seed)
        policy = make_policy(name, server, target)
        runs[name] = simulate(server, poisson_arrivals(rng, loads), [policy], rng)
        runs[name]["moves"] = len(policy.moves)
    return runs


def spans(server, phases=PHASES):
    """Returns dict, name -> (start, end) in seconds, of the phases and their parts."""
    unit = server.seconds(min(server.images_per_second))
    found, start = {}, 0.0
    for name, length, _ in phases:
        end = start + length * unit
        found[name] = start, end
        if start > 0:
            found[f"{name}, settled"] = start + SETTLED * unit, end
        start = end
    return found


def within(result, name, span):
    """Returns an array of a result, of the requests sent in a span."""
    return result[name][(result["sent"] >= span[0]) & (result["sent"] < span[1])]


def p95(result, span):
    """The 95th percentile of the latencies in a span, in seconds; `None` of none."""
    latencies = within(result, "latency", span)
    return float(np.quantile(latencies, 0.95)) if latencies.size else None


def phases_table(runs_of_seeds, server, target):
    """Returns a Markdown table, a row per phase: medians over the seeds (the worst)."""
    names, choices = list(runs_of_seeds[0]), sorted(server.images_per_second)
    columns = ["phase", *(f"p95, {name}" for name in names)]
    columns.append("adaptive below the target")
    columns += [f"of the requests at N = {n}" for n in choices]
    lines = []
    for phase, span in spans(server).items():
        latencies = {
            name: [p95(runs[name], span) for runs in runs_of_seeds] for name in names
        }
        held = sum(latency < target for latency in latencies["adaptive"])
        num_mux = np.concatenate(
            [within(runs["adaptive"], "num_mux", span) for runs in runs_of_seeds]
        )
        lines.append(
            [
                phase,
                *(f"{np.median(v):.2f} s ({max(v):.2f})" for v in latencies.values()),
                f"{held} of {len(runs_of_seeds)}",
                *(f"{np.mean(num_mux == n):.0%}" for n in choices),
            ]
        )
    return table(columns, lines)


def binned(runs, server):
    """Returns the curves: per bin the load, and per policy p95 and the mean N."""
    width = BIN * server.seconds(min(server.images_per_second))
    starts = np.arange(0.0, max(end for _, end in spans(server).values()), width)
    bins = [(start, start + width) for start in starts]
    load = [within(runs["adaptive"], "sent", span).size / BIN for span in bins]
    curves = {"seconds": starts.round(2).tolist(), "load": load}
    for name, result in runs.items():
        numbers = [within(result, "num_mux", span) for span in bins]
        curves[name] = {
            "p95_seconds": [p95(result, span) for span in bins],
            "num_mux": [float(n.mean()) if n.size else None for n in numbers],
        }
    return curves


def draw(curves, target, out):
    """Draws p95 with the target, N and load over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), dpi=80, layout="constrained")
    panels = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1, 1))
    for name, curve in curves.items():
        if name not in ("seconds", "load"):
            values = np.array(curve["p95_seconds"], float)
            panels[0].plot(curves["seconds"], values, label=name)
    panels[0].axhline(target, color="black", linestyle="--", label="target")
    panels[0].set(yscale="log", ylabel="p95 latency, s")
    panels[0].legend()
    steps = {"where": "post", "color": "tab:blue"}
    numbers = np.array(curves["adaptive"]["num_mux"], float)
    panels[1].step(curves["seconds"], numbers, **steps)
    panels[1].set(ylabel="mean N")
    panels[2].step(curves["seconds"], curves["load"], **steps)
    panels[2].set(ylabel="load", xlabel="seconds")
    figure.savefig(out)


def main(values):
    """Simulates, prints the table, writes the curves."""
    out = folders.own(values.out)
    rates = (
        parse_rates(values.rates)
        if values.rates
        else read_rates(values.throughput, values.precision, values.batch_size)
    )
    server = Server(rates, values.batch_size, values.spread)
    unit = server.seconds(min(rates))
    target = (
        values.target_p95_ms / 1000
        if values.target_p95_ms
        else TARGET_SERVICE_TIMES * unit
    )
    names = ["adaptive", f"N = {min(rates)}", f"N = {max(rates)}"]
    runs_of_seeds = [run(server, target, seed, names) for seed in range(values.seeds)]
    moves = [runs["adaptive"]["moves"] for runs in runs_of_seeds]
    curves = binned(runs_of_seeds[0], server)
    settings = {
        "images_per_second": rates,
        "batch_size": values.batch_size,
        "spread": values.spread,
        "target_p95_seconds": target,
        "service_seconds": {n: server.seconds(n) for n in rates},
        "phases": PHASES,
        "seeds": values.seeds,
        "moves": moves,
    }
    shown = phases_table(runs_of_seeds, server, target)
    results = {**settings, "table": shown, "curves": curves}
    (out / "adaptive.json").write_text(json.dumps(results) + "\n")
    draw(curves, target, out / "adaptive.png")
    print(json.dumps(settings))
    print(shown)


def define_flags():
    """Defines the command's flags."""
    flags.DEFINE_list("rates", None, "N:images per second, ...; else --throughput.")
    rates = RESULTS / "throughput_avx512.json"
    command.define_path("throughput", str(rates), "Measurements.")
    flags.DEFINE_string("precision", "bfloat16", "Rows of the measurements.")
    flags.DEFINE_integer("batch_size", 8, "Images per request.", 1)
    flags.DEFINE_float("target_p95_ms", None, "Target; 12 service times of N = 1.")
    flags.DEFINE_float("spread", 0.1, "Share by which service times vary.")
    flags.DEFINE_integer("seeds", 20, "Number of simulations.", 1)
    command.define_path("out", str(RESULTS), "Folder of the results.")


if __name__ == "__main__":
    command.run(main, define_flags)
