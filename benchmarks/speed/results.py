"""What a run of the comparison keeps, and what the speeds mean: ratios and order."""

import dataclasses
import itertools

from benchmarks import machine
from benchmarks.gemm import GEMM_FLOPS
from benchmarks.speed.rows import PLAIN

VERSIONS = (*machine.PACKAGES, "torch", "openvino", "onnx", "onnxruntime", "tf2onnx")
REFERENCE_BATCH_SIZE = 8


def collect(rows, exported, timings, memory, settings):
    """Puts together what was measured.

    Args:
        rows: list of `Row` that were measured, without the bare products.
        exported: dict, row name -> costs and path.
        timings: dict, batch size -> dict, row name -> `Timing`, at least one.
        memory: dict, row name -> bytes.
        settings: dict, kept as it is.

    Returns:
        dict with `machine`, `settings`, `gemm_gflops` and `rows`, a dict, row name ->
        entry.
    """
    reference = REFERENCE_BATCH_SIZE
    if reference not in timings:
        reference = next(iter(timings))
    entries = {row.name: _entry(row, exported, timings, memory) for row in rows}
    gemm_gflops = {
        precision: GEMM_FLOPS / timings[reference][f"gemm, {precision}"].median / 1e9
        for precision in {row.precision for row in rows}
    }
    add_ratios(entries, gemm_gflops, reference)
    return {
        "machine": machine.description(VERSIONS),
        "settings": {
            **settings,
            "batch_sizes": list(timings),
            "reference_batch_size": reference,
        },
        "gemm_gflops": gemm_gflops,
        "rows": entries,
    }


def _entry(row, exported, timings, memory):
    fields = dataclasses.asdict(row)
    kept = ("precision", "runtime", "size", "image_size")
    entry = {name: fields[name] for name in kept}
    for name in ("gmacs_per_image", "gmacs_executed"):
        entry[name] = exported[row.name][name]
    if row.name in memory:
        entry["peak_memory_mib"] = memory[row.name] / 2**20
    entry["batches"] = {
        str(batch_size): batch_entry(taken[row.name], batch_size)
        for batch_size, taken in timings.items()
        if row.name in taken
    }
    return entry


def batch_entry(timing, batch_size):
    """What is kept of a `Timing`: rate, spread and latencies."""
    return {
        "images_per_second": batch_size / timing.median,
        "spread": timing.spread,
        "p50_ms": 1e3 * timing.percentile(50),
        "p95_ms": 1e3 * timing.percentile(95),
        "calls": sum(map(len, timing.rounds)),
    }


def images_per_second(entry, batch_size):
    """Images/s of a row's entry at a batch size, or `None` if not measured."""
    return entry["batches"].get(str(batch_size), {}).get("images_per_second")


def add_ratios(entries, gemm_gflops, batch_size):
    """Adds the ratios at one batch size to every row's entry that was measured there.

    Args:
        entries: dict, row name -> entry with `precision`, `gmacs_per_image`,
            `gmacs_executed` and `batches`.
        gemm_gflops: dict, precision -> GFLOP/s of a bare matrix product.
        batch_size: int.
    """
    rates = {
        name: rate
        for name, entry in entries.items()
        if (rate := images_per_second(entry, batch_size))
    }
    for name, rate in rates.items():
        entry = entries[name]
        if PLAIN in rates:
            entry["over_plain_keras"] = rate / rates[PLAIN]
        peer_name = f"vit_b16, {entry['precision']}"
        if peer_name in rates:
            peer, speed = entries[peer_name], rate / rates[peer_name]
            trained = peer["gmacs_per_image"] / entry["gmacs_per_image"]
            executed = peer["gmacs_executed"] / entry["gmacs_executed"]
            entry["over_fused_vit"] = speed
            entry["flop_ratio"] = trained
            entry["of_ideal"] = speed / trained
            entry["of_ideal_executed"] = speed / executed
        # One multiply-accumulate is two operations.
        gflops = 2 * entry["gmacs_executed"] * rate
        entry["of_gemm_limit"] = gflops / gemm_gflops[entry["precision"]]


def compare_order(entries, reference, batch_size):
    """Compares the order of the rows that both measurements have.

    Two rows tie in a measurement if they are closer than their rounds were spread.
    A tie agrees with any order.

    Args:
        entries: dict, row name -> entry.
        reference: the same, of the measurement to compare with.
        batch_size: int.

    Returns:
        Pair of lists of pairs of names, the faster one of `reference` first: those
        that come in the other order, and those that tie in either measurement.
    """
    both = [
        name
        for name in reference
        if name in entries
        and images_per_second(entries[name], batch_size)
        and images_per_second(reference[name], batch_size)
    ]
    both.sort(key=lambda name: -images_per_second(reference[name], batch_size))
    wrong, ties = [], []
    for pair in itertools.combinations(both, 2):
        orders = [_order(taken, pair, batch_size) for taken in (reference, entries)]
        if 0 in orders:
            ties.append(pair)
        elif orders[0] != orders[1]:
            wrong.append(pair)
    return wrong, ties


def _order(entries, pair, batch_size):
    """1 if the first of the pair is faster, -1 if the second, 0 if they tie."""
    first, second = (entries[name]["batches"][str(batch_size)] for name in pair)
    ratio = first["images_per_second"] / second["images_per_second"]
    noise = 1 + first.get("spread", 0.0) + second.get("spread", 0.0)
    return (ratio > noise) - (1 / ratio > noise)
