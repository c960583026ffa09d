"""What machine a measurement was taken on, and whether it is free for one."""

import importlib.metadata
import os
import platform

from savedmodel_export.cpu import cpu_info

PACKAGES = ("tensorflow", "keras", "keras-cv", "numpy")


def description(packages=PACKAGES):
    """Dict of what may change a measurement: processor, cores, versions.

    Args:
        packages: names of distributions; those not installed are left out.
    """
    cpu, features = cpu_info()
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_tile")
    return {
        "cpu": cpu or platform.processor(),
        "features": [name for name in wanted if name in features],
        "cores": num_cores(),
        "python": platform.python_version(),
        **{name: version for name in packages if (version := _version(name))},
    }


def num_cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


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
