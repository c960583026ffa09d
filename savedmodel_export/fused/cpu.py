"""What this machine's processor can do."""

import pathlib

CPU_INFO = pathlib.Path("/proc/cpuinfo")


def cpu_info():
    """Returns the name of the processor and the set of its feature flags.

    Both are empty where the system does not tell (only Linux does).
    """
    name, features = "", set()
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() == "flags":
                features = set(value.split())
    return name, features


def multiplies_int8():
    """Whether the processor has instructions for int8 matrix products."""
    _, features = cpu_info()
    return bool(features & {"avx512_vnni", "avx_vnni", "amx_int8"})


def multiplies_bfloat16():
    """Whether the processor has instructions for bfloat16 matrix products."""
    _, features = cpu_info()
    return bool(features & {"avx512_bf16", "amx_bf16"})
