"""The settings of a run: one dataclass gives the flags, their help and checks."""

import dataclasses
import json
import pathlib

from keras_concatplexer.layers.image_demultiplexer import METHODS
from keras_concatplexer.layers.image_multiplexer import TRANSFORMS
from keras_concatplexer.vit import SIZES
from train.files import write_text

CONFIG_FILE = "config.json"


def _setting(default, help_text, choices=None, minimum=None, may_change=False):
    """One field of `Config`.

    Args:
        default: the value where none is given; its type is the flag's type.
        help_text: str, what the setting means.
        choices: tuple of the valid values, or `None`.
        minimum: the smallest valid number, or `None`.
        may_change: whether a run may go on with another value. True for what
            changes neither the model nor the course of its training.
    """
    metadata = {
        "help": help_text,
        "choices": choices,
        "minimum": minimum,
        "may_change": may_change,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes; saved beside its results."""

    # === Data ===
    dataset: str = _setting(
        "digits",
        "`digits` (embedded), a TFDS dataset's name, or `folder:PATH` with images "
        "in PATH/<split>/<class>/.",
    )
    data_dir: str = _setting(
        "", "Where TFDS keeps data; empty: its own default.", may_change=True
    )
    train_split: str = _setting("train[:90%]", "TFDS split to train on.")
    validation_split: str = _setting("train[90%:]", "TFDS split that picks the best.")
    test_split: str = _setting(
        "", "TFDS split of the result; empty: test, or else validation."
    )
    image_size: int = _setting(
        0,
        "Side of the model's images in pixels; 0: the "
        "dataset's (224 if it varies), at least 4 patches.",
        minimum=0,
    )
    # === Model ===
    model: str = _setting(
        "concatplexer", "What to train.", ("vit", "concatplexer", "image_multiplexer")
    )
    size: str = _setting("vit_nano4", "Size of the ViT.", tuple(SIZES))
    init_from: str = _setting(
        "",
        "Where the ViT's trained weights come from: a workdir (its best model), a "
        ".keras file, or `hub:PRESET` of keras-hub; empty: random weights.",
    )
    freeze_backbone: bool = _setting(
        False, "Train only multiplexer, demultiplexer, final norm and head."
    )
    num_mux: int | tuple = _setting(
        2,
        "Images per sequence. Several, such as 1,2,4, train an elastic concatplexer; "
        "the first is what evaluation and export take by default.",
        minimum=1,
    )
    num_mux_weights: float | tuple = _setting(
        (),
        "Share of each batch for each N of an elastic concatplexer; empty: equal.",
        minimum=0,
    )
    own_norm: bool = _setting(
        False, "A final norm of its own for each N > 1 of an elastic concatplexer."
    )
    in_place_distillation: float = _setting(
        0.0,
        "Weight of the loss by which N = 1 of an elastic concatplexer teaches the "
        "others; 0: none.",
        minimum=0,
    )
    patchifier_depth: int = _setting(
        -1,
        "Blocks that see each image alone; -1: half, none of an image_multiplexer.",
        minimum=-1,
    )
    reducer: str = _setting(
        "conv", "How the tokens are reduced.", ("conv", "mean", "tome", "select")
    )
    attention_scope: str = _setting(
        "group", "Whether images of a group attend to each other.", ("group", "image")
    )
    shuffle_slots: bool = _setting(
        False, "Draw the slots of a group's images anew in each step (scope group)."
    )
    transform: str = _setting(
        "gaussian_hadamard", "How an image_multiplexer keys its slots.", TRANSFORMS
    )
    demultiplexer: str = _setting(
        "index", "How an image_multiplexer tells its images apart.", METHODS
    )
    # === Recipe ===
    augmentation: str = _setting(
        "none",
        "Random changes of the training images: `shift` by up to a tenth "
        "of the side, `crop` by an eighth, `flip` left to right.",
        ("none", "shift", "flip", "flip_shift", "flip_crop"),
    )
    randaugment: float = _setting(
        0.0, "Magnitude of RandAugment from 0 to 1; 0: none.", minimum=0
    )
    random_erasing: float = _setting(
        0.0, "Share of training images with an erased box; 0: none.", minimum=0
    )
    mixup: float = _setting(
        0.0,
        "MixUp's alpha; 0: none. With CutMix too, they take turns by the step.",
        minimum=0,
    )
    cutmix: float = _setting(0.0, "CutMix's alpha; 0: none.", minimum=0)
    label_smoothing: float = _setting(
        0.0, "Share of the labels spread over all classes.", minimum=0
    )
    epochs: int = _setting(30, "Passes over the training split.", minimum=1)
    batch_size: int = _setting(64, "Images per step, of all replicas.", minimum=1)
    learning_rate: float = _setting(1e-3, "Peak of warmup and cosine decay.", minimum=0)
    warmup_epochs: float = _setting(2.0, "Epochs of linear warmup.", minimum=0)
    weight_decay: float = _setting(0.05, "AdamW's decoupled decay.", minimum=0)
    clip_norm: float = _setting(
        0.0, "Limit of the gradient's global norm; 0: none.", minimum=0
    )
    ema: float = _setting(
        0.0,
        "Momentum of the weights' moving average, below 1; 0: none. With it, "
        "validation and the saved models use the average.",
        minimum=0,
    )
    gradient_accumulation: int = _setting(
        1, "Steps whose gradients are averaged; on one device only.", minimum=1
    )
    seed: int = _setting(0, "Seed of weights, order and augmentation.", minimum=0)
    # === Distillation ===
    teacher: str = _setting(
        "", "Workdir of an un-multiplexed ViT to distil from; empty: none."
    )
    distillation_weight: float = _setting(
        0.5, "Share of the teacher in the loss, above 0, at most 1.", minimum=0
    )
    distillation_temperature: float = _setting(
        3.0, "Temperature of both softmaxes in the teacher's loss."
    )
    # === Execution ===
    strategy: str = _setting(
        "auto",
        "Devices to train on. auto: tpu if --tpu is set, multi_worker if TF_CONFIG "
        "names several workers, mirrored if there are several GPUs or "
        "--logical_cpus, else one_device.",
        ("auto", "one_device", "mirrored", "multi_worker", "tpu"),
        may_change=True,
    )
    tpu: str = _setting("", "Name or address of the TPU.", may_change=True)
    logical_cpus: int = _setting(
        1,
        "Replicas that the CPU is split into, to try strategies without GPUs.",
        minimum=1,
        may_change=True,
    )
    dtype_policy: str = _setting(
        "float32",
        "Keras' global dtype policy.",
        ("float32", "mixed_bfloat16", "mixed_float16"),
    )
    jit_compile: bool = _setting(False, "Compile the steps with XLA.", may_change=True)
    steps_per_execution: int = _setting(
        1, "Steps per call of the graph; on one device only.", minimum=1
    )
    # === Records ===
    profile: str = _setting(
        "", "START,STOP: steps that the profiler traces; empty: none.", may_change=True
    )
    image_summaries: bool = _setting(
        True,
        "Write groups of test images and the confusion matrix to TensorBoard.",
        may_change=True,
    )

    def check(self):
        """Checks what one setting alone, or two together, can have wrong.

        Raises:
            ValueError: naming the setting, its value and what is expected.
        """
        for name in ("label_smoothing", "ema", "randaugment", "random_erasing"):
            value, below = getattr(self, name), name in ("label_smoothing", "ema")
            if value > 1 or (below and value == 1):
                limit = "below 1" if below else "at most 1"
                raise ValueError(f"--{name} must be {limit}. Received: {value}")
        if not 0 < self.distillation_weight <= 1:
            raise ValueError(
                "--distillation_weight must be above 0 and at most 1. Received: "
                f"{self.distillation_weight}"
            )
        if self.distillation_temperature <= 0:
            raise ValueError(
                "--distillation_temperature must be above 0. Received: "
                f"{self.distillation_temperature}"
            )
        self._check_elastic()
        if self.profile:
            self.profile_steps()

    def _check_elastic(self):
        if isinstance(self.num_mux, tuple):
            if self.model != "concatplexer":
                raise ValueError(
                    "Several --num_mux go with --model=concatplexer. Received: "
                    f"--model={self.model}, --num_mux={self.num_mux}"
                )
            return
        for name in ("num_mux_weights", "own_norm", "in_place_distillation"):
            if getattr(self, name) not in ((), False, 0.0):
                raise ValueError(
                    f"--{name} is for elastic models: give several --num_mux, such as "
                    f"1,2,4. Received: --num_mux={self.num_mux}"
                )

    def profile_steps(self):
        """Returns `profile` as `(start, stop)`, or 0 where it is empty."""
        if not self.profile:
            return 0
        try:
            start, stop = map(int, self.profile.split(","))
        except ValueError:
            start = stop = 0
        if not 0 < start <= stop:
            raise ValueError(
                "--profile must be START,STOP, two steps counted from 1, such as "
                f"10,20. Received: {self.profile}"
            )
        return start, stop

    def save(self, folder):
        """Writes `config.json` into `folder`."""
        text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        write_text(pathlib.Path(folder) / CONFIG_FILE, text)

    def check_same_run(self, folder):
        """Checks that a run in `folder`, if there is one, had these settings.

        Raises:
            ValueError: naming every key that differs, except those a run may go
                on with; `epochs` may grow.
        """
        path = pathlib.Path(folder) / CONFIG_FILE
        if not path.is_file():
            return
        saved, differing = json.loads(path.read_text()), []
        for field in dataclasses.fields(self):
            new, old = getattr(self, field.name), saved.get(field.name, field.default)
            old = tuple(old) if isinstance(old, list) else old
            grows = field.name == "epochs" and new > old
            if new != old and not grows and not field.metadata["may_change"]:
                differing.append(f"{field.name} was {old!r}, is {new!r}")
        if differing:
            raise ValueError(
                f"The workdir {folder} holds a run with other settings: "
                f"{'; '.join(differing)}. Give the old values to go on (--epochs may "
                "grow), or choose another --workdir."
            )
