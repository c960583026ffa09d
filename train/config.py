"""The settings of a run: one dataclass gives the flags, their help and checks."""

import dataclasses
import json
import pathlib

from absl import flags

from keras_concatplexer.vit import SIZES

CONFIG_FILE = "config.json"


def _setting(default, help_text, choices=None, minimum=None):
    metadata = {"help": help_text, "choices": choices, "minimum": minimum}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes; saved beside its results."""

    dataset: str = _setting("digits", "`digits` (embedded) or a TFDS dataset's name.")
    data_dir: str = _setting("", "Where TFDS keeps data; empty: its own default.")
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
    model: str = _setting("concatplexer", "What to train.", ("vit", "concatplexer"))
    size: str = _setting("vit_nano4", "Size of the ViT.", tuple(SIZES))
    init_from: str = _setting(
        "",
        "Workdir whose best model's ViT is wrapped; empty: start from random weights.",
    )
    num_mux: int = _setting(2, "Images per sequence.", minimum=1)
    patchifier_depth: int = _setting(
        -1, "Blocks that see each image alone; -1: half.", minimum=-1
    )
    attention_scope: str = _setting(
        "group", "Whether images of a group attend to each other.", ("group", "image")
    )
    augmentation: str = _setting(
        "none",
        "Random changes of the training images.",
        ("none", "shift", "flip_shift"),
    )
    epochs: int = _setting(30, "Passes over the training split.", minimum=1)
    batch_size: int = _setting(64, "Images per step.", minimum=1)
    learning_rate: float = _setting(1e-3, "Peak of warmup and cosine decay.")
    warmup_epochs: float = _setting(2.0, "Epochs of linear warmup.", minimum=0)
    weight_decay: float = _setting(0.05, "AdamW's decoupled decay.", minimum=0)
    dtype_policy: str = _setting(
        "float32", "Keras' global dtype policy.", ("float32", "mixed_bfloat16")
    )
    seed: int = _setting(0, "Seed of weights, order and augmentation.", minimum=0)

    def save(self, folder):
        """Writes `config.json` into `folder`."""
        path = pathlib.Path(folder) / CONFIG_FILE
        path.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")


def define_flags(flag_values=flags.FLAGS):
    """Defines one absl flag per field of `Config`."""
    for field in dataclasses.fields(Config):
        help_text, choices = field.metadata["help"], field.metadata["choices"]
        if choices is not None:
            flags.DEFINE_enum(
                field.name, field.default, choices, help_text, flag_values
            )
        elif field.type is str:
            flags.DEFINE_string(field.name, field.default, help_text, flag_values)
        else:
            define = flags.DEFINE_integer if field.type is int else flags.DEFINE_float
            minimum = field.metadata["minimum"]
            define(
                field.name,
                field.default,
                help_text,
                lower_bound=minimum,
                flag_values=flag_values,
            )


def config_from_flags(values):
    """Returns the `Config` of parsed absl flags."""
    return Config(
        **{field.name: values[field.name].value for field in dataclasses.fields(Config)}
    )
