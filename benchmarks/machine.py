"""What machine a measurement was taken on, and how fast its matrix products are."""

import importlib.metadata
import os
import platform

import keras

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
    import tensorflow as tf

    rows, inner, columns = GEMM_SHAPE
    left = tf.cast(tf.random.stateless_normal((rows, inner), (0, 0)), dtype)
    right = tf.cast(tf.random.stateless_normal((inner, columns), (0, 1)), dtype)
    product = tf.function(tf.matmul)
    # An eager tensor is computed when its function returns, on the CPU.
    return lambda: product(left, right)


def description():
    """Dict of what may change a measurement: processor, cores, versions."""
    return {**hardware(), **versions()}


def hardware():
    """Dict of the processor, its cores and, where Keras uses one, the accelerator."""
    cpu, features = cpu_info()
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    found = {
        "cpu": cpu or platform.processor(),
        "features": [name for name in wanted if name in features],
        "cores": len(os.sched_getaffinity(0)),
    }
    accelerator = _accelerator()
    return {**found, "accelerator": accelerator} if accelerator else found


def _accelerator():
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
        details = [tf.config.experimental.get_device_details(gpu) for gpu in devices]
        return details[0].get("device_name", "GPU") if details else None
    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0]
        return None if device.platform == "cpu" else device.device_kind
    return None


def versions():
    """dict, `"python"` and each library that computes -> its version."""
    names = ("keras", keras.backend.backend())
    return {
        **{name: importlib.metadata.version(name) for name in names},
        "python": platform.python_version(),
    }


def limit_threads(num_threads):
    """Lets an operation use so many threads, on TensorFlow and JAX; 0: all.

    To be called before Keras computes anything.
    """
    if not num_threads:
        return
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(num_threads)
        tf.config.threading.set_inter_op_parallelism_threads(num_threads)
    elif num_threads == 1:
        # XLA knows one thread or all; it reads this when its devices are made.
        more = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=false {more}"
    else:
        raise ValueError(
            "On this backend operations use one thread or all. Received: "
            f"num_threads={num_threads}. Pass 1 or 0."
        )


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
