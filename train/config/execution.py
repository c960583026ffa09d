"""The settings of how and where a run is executed, and what it writes down."""

import dataclasses

from . import fields
from .fields import setting


@dataclasses.dataclass(frozen=True)
class ExecutionSettings:
    """Execution."""

    strategy: str = setting(
        "auto",
        "Devices to train on. auto: tpu if --tpu is set, multi_worker if TF_CONFIG "
        "names several workers, mirrored if there are several GPUs or "
        "--logical_cpus, else one_device.",
        ("auto", "one_device", "mirrored", "multi_worker", "tpu"),
        may_change=True,
    )
    tpu: str = setting(
        "", "Name or address of the TPU.", needs=fields.A_TPU, may_change=True
    )
    logical_cpus: int = setting(
        1,
        "Replicas that the CPU is split into, to try strategies without GPUs.",
        minimum=1,
        needs=fields.REPLICAS,
        may_change=True,
    )
    dtype_policy: str = setting(
        "float32",
        "Keras' global dtype policy.",
        ("float32", "mixed_bfloat16", "mixed_float16"),
    )
    jit_compile: bool = setting(False, "Compile the steps with XLA.", may_change=True)
    steps_per_execution: int = setting(
        1, "Steps per call of the graph; on one device only.", minimum=1
    )


@dataclasses.dataclass(frozen=True)
class RecordSettings:
    """Records."""

    profile: str = setting(
        "", "START,STOP: steps that the profiler traces; empty: none.", may_change=True
    )
    image_summaries: bool = setting(
        True,
        "Write groups of test images and the confusion matrix to TensorBoard.",
        may_change=True,
    )
