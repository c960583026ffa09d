"""What machine a measurement was taken on, and whether it is free for one."""

import functools
import importlib.metadata
import os
import platform
import subprocess

from savedmodel_export.fused.cpu import cpu_info

PACKAGES = ("tensorflow", "keras", "keras-cv", "numpy")
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


class BusyError(RuntimeError):
    """The machine is busy with something else."""


def description(packages=PACKAGES):
    """Dict of what may change a measurement: processor, cores, versions, commit.

    Args:
        packages: names of distributions; those not installed are left out.
    """
    cpu, features = cpu_info()
    return {
        "cpu": cpu or platform.processor(),
        "features": [name for name in FEATURES if name in features],
        "cores": num_cores(),
        "commit": commit(),
        "python": platform.python_version(),
        **{name: version for name in packages if (version := _version(name))},
    }


def num_cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


@functools.cache
def commit():
    """Returns the checkout's commit, with `+` for changes; empty outside git."""
    try:
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return asked.stdout.strip()


def set_environment(threads):
    """Tells the runtimes of new processes how many cores to use, and to be quiet."""
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Threads of a runtime that waits for its turn must sleep.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def check_idle(limit=0.5):
    """Refuses to measure on a machine that is busy with something else.

    Raises:
        BusyError: if the load of the last minute is above `limit` per core.
    """
    load, cores = os.getloadavg()[0], num_cores()
    if load > limit * cores:
        raise BusyError(
            f"The machine is busy: load {load:.1f} on {cores} cores, allowed "
            f"{limit * cores:.1f}. Wait, or pass --allow_load to measure all the same."
        )


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
