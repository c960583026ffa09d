"""What a run of the comparison keeps: a dict that goes into JSON."""

import dataclasses

from benchmarks import machine
from benchmarks.speed.ratios import add_ratios, gemm_rate

VERSIONS = (*machine.PACKAGES, "torch", "openvino", "onnx", "onnxruntime", "tf2onnx")


def collect(rows, exported, timings, memory, settings):
    """Puts together what was measured.

    Args:
        rows: list of `Row` that were measured, without the bare products.
        exported: dict, row name -> costs and path.
        timings: dict, batch size -> dict, row name -> `Timing`.
        memory: dict, row name -> bytes.
        settings: dict, kept as it is; `reference_batch_size` is the one of the
            ratios.

    Returns:
        dict with `machine`, `settings`, `gemm_gflops` and `rows`, a dict, row name ->
        entry.
    """
    reference = settings["reference_batch_size"]
    entries = {row.name: _entry(row, exported, timings, memory) for row in rows}
    gemm_gflops = {
        precision: gemm_rate(timings[reference][f"gemm, {precision}"])
        for precision in {row.precision for row in rows}
    }
    add_ratios(entries, gemm_gflops, reference)
    return {
        "machine": machine.description(VERSIONS),
        "settings": settings,
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
