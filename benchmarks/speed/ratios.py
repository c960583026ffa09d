"""What the measured speeds mean: against the baseline, the FLOPs and the limit."""

from benchmarks.speed import gemm
from benchmarks.speed.rows import PLAIN


def images_per_second(entry, batch_size):
    """Images/s of a row's entry at a batch size, or `None` if not measured."""
    return entry["batches"].get(str(batch_size), {}).get("images_per_second")


def add_ratios(entries, gemm_gflops, batch_size):
    """Adds the ratios at one batch size to every row's entry.

    Args:
        entries: dict, row name -> entry with `precision`, `gmacs_per_image`,
            `gmacs_executed` and `batches`.
        gemm_gflops: dict, precision -> GFLOP/s of a bare matrix product.
        batch_size: int.
    """
    rates = {
        name: images_per_second(entry, batch_size) for name, entry in entries.items()
    }
    for name, entry in entries.items():
        if PLAIN in entries:
            entry["over_plain_keras"] = rates[name] / rates[PLAIN]
        peer = entries.get(f"vit_b16, {entry['precision']}")
        if peer is not None:
            speed = rates[name] / rates[f"vit_b16, {entry['precision']}"]
            trained = peer["gmacs_per_image"] / entry["gmacs_per_image"]
            executed = peer["gmacs_executed"] / entry["gmacs_executed"]
            entry["over_fused_vit"] = speed
            entry["flop_ratio"] = trained
            entry["of_ideal"] = speed / trained
            entry["of_ideal_executed"] = speed / executed
        # One multiply-accumulate is two operations.
        gflops = 2 * entry["gmacs_executed"] * rates[name]
        entry["of_gemm_limit"] = gflops / gemm_gflops[entry["precision"]]


def gemm_rate(timing):
    """GFLOP/s of the bare product, from its `Timing`."""
    return gemm.gemm_flops() / timing.median / 1e9
