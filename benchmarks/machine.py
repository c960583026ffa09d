"""What machine a measurement was taken on, and whether it is free for one."""

import importlib.metadata
import os
import platform

from savedmodel_export.fused.cpu import cpu_info

PACKAGES = ("tensorflow", "keras", "keras-cv", "numpy")


def description(packages=PACKAGES):
    """Dict of what may change a measurement: processor, cores, versions.

    Args:
        packages: names of distributions; those not installed are left out.
    """
    return {**hardware(), **versions(packages)}


def hardware():
    """Dict of the processor and how many of its cores this process may use."""
    cpu, features = cpu_info()
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_tile")
    return {
        "cpu": cpu or platform.processor(),
        "features": [name for name in wanted if name in features],
        "cores": num_cores(),
    }


def accelerator():
    """Returns the name of the device that Keras computes on, `None` for the CPU."""
    import keras

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


def versions(packages):
    """dict, Python and each of the packages that is installed -> its version."""
    return {
        "python": platform.python_version(),
        **{name: version for name in packages if (version := _version(name))},
    }


def num_cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def limit_threads(num_threads):
    """Lets an operation use so many threads, on TensorFlow and JAX; 0: all.

    To be called before Keras computes anything.
    """
    import keras

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
    load, cores = os.getloadavg()[0], num_cores()
    if load > limit * cores:
        raise RuntimeError(
            f"The machine is busy: load {load:.1f} on {cores} cores, allowed "
            f"{limit * cores:.1f}. Wait, or pass --allow_load to measure all the same."
        )


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
