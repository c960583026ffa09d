"""One setting: its value, its meaning, and which runs use it."""

import collections.abc
import dataclasses


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a run must be like to use a setting.

    Attributes:
        text: str, the flags that make it so.
        holds: function of the `Config`.
    """

    text: str
    holds: collections.abc.Callable


def setting(
    default,
    help_text,
    choices=None,
    minimum=None,
    needs=None,
    may_change=False,
    is_path=False,
):
    """One field of the settings.

    Args:
        default: the value where none is given; its type is the flag's type.
        help_text: str, what the setting means.
        choices: tuple of the valid values, or `None`.
        minimum: the smallest valid number, or `None`.
        needs: `Needs`, or `None` for a setting that every run uses.
        may_change: whether a run may go on with another value. True for what
            changes neither the model nor the course of its training, and for what
            a run that diverged needs changed.
        is_path: whether `~` stands for the user's folder.
    """
    metadata = {
        "help": help_text,
        "choices": choices,
        "minimum": minimum,
        "needs": needs,
        "may_change": may_change,
        "is_path": is_path,
    }
    return dataclasses.field(default=default, metadata=metadata)


A_TFDS_DATASET = Needs(
    "a --dataset of TFDS", lambda run: not run.dataset.startswith("folder:")
)
A_FOLDER = Needs("--dataset=folder:PATH", lambda run: run.dataset.startswith("folder:"))
RANDOM_WEIGHTS = Needs("no --init_from", lambda run: not run.init_from)
TRAINED_WEIGHTS = Needs("--init_from", lambda run: run.init_from)
TRAINED_BACKBONE = Needs(
    "--init_from and no --backbone", lambda run: run.init_from and not run.backbone
)
MULTIPLEXED = Needs(
    "--model=concatplexer or --model=image_multiplexer", lambda run: run.model != "vit"
)
CONCATPLEXER = Needs("--model=concatplexer", lambda run: run.model == "concatplexer")
IMAGE_MULTIPLEXER = Needs(
    "--model=image_multiplexer", lambda run: run.model == "image_multiplexer"
)
ELASTIC = Needs(
    "--model=concatplexer with several --num_mux, such as 1,2,4",
    lambda run: run.model == "concatplexer" and isinstance(run.num_mux, tuple),
)
LABELS = Needs("--objective=labels", lambda run: run.objective == "labels")
ELASTIC_CLASSIFIER = Needs(
    f"{LABELS.text}, and {ELASTIC.text}",
    lambda run: LABELS.holds(run) and ELASTIC.holds(run),
)
GROUP_SCOPE = Needs(
    "--model=concatplexer with --attention_scope=group",
    lambda run: run.model == "concatplexer" and run.attention_scope == "group",
)
IN_PLACE = Needs("--in_place_weight above 0", lambda run: run.in_place_weight > 0)
TEACHER = Needs(
    f"--teacher and {LABELS.text}", lambda run: run.teacher and LABELS.holds(run)
)
TEACHER_OF_FEATURES = Needs(
    f"{TEACHER.text}, and one --num_mux",
    lambda run: TEACHER.holds(run) and not isinstance(run.num_mux, tuple),
)
A_TPU = Needs("--strategy=tpu or auto", lambda run: run.strategy in ("tpu", "auto"))
REPLICAS = Needs(
    "--strategy=mirrored or auto", lambda run: run.strategy in ("mirrored", "auto")
)
