"""What machine a measurement was taken on, and how fast its matrix products are."""

import os
import platform

import tensorflow as tf

from savedmodel_export.cpu import cpu_info

# The larger product of ViT-B/16's MLP at batch 8: rows, inner, columns.
GEMM_SHAPE = (8 * 197, 768, 3072)


def gemm_functions():
    """dict, dtype name -> function that computes one large matrix product."""
    return {dtype: _gemm_function(dtype) for dtype in ("float32", "bfloat16")}


def gemm_flops():
    """Floating-point operations of one such product."""
    rows, inner, columns = GEMM_SHAPE
    return 2 * rows * inner * columns


def _gemm_function(dtype):
    rows, inner, columns = GEMM_SHAPE
    left = tf.cast(tf.random.stateless_normal((rows, inner), (0, 0)), dtype)
    right = tf.cast(tf.random.stateless_normal((inner, columns), (0, 1)), dtype)
    product = tf.function(tf.matmul)
    # An eager tensor is computed when its function returns, on the CPU.
    return lambda: product(left, right)


def description():
    """Dict of what may change a measurement: processor, cores, versions."""
    cpu, features = cpu_info()
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return {
        "cpu": cpu or platform.processor(),
        "features": [name for name in wanted if name in features],
        "cores": len(os.sched_getaffinity(0)),
        "tensorflow": tf.__version__,
        "python": platform.python_version(),
    }


def check_idle(limit=0.5):
    """Refuses to measure on a machine that is busy with something else.

    Raises:
        RuntimeError: if the load of the last minute is above `limit` per core.
    """
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if load > limit * cores:
        raise RuntimeError(
            f"The machine is busy: load {load:.1f} on {cores} cores, allowed "
            f"{limit * cores:.1f}. Wait, or pass --allow_load to measure all the same."
        )
