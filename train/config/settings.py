"""The settings of a run by topic.

Nothing here imports Keras, so that a command can tell its flags at once.
"""

import dataclasses
import importlib.util
import pathlib
import runpy

from . import fields
from .execution import ExecutionSettings, RecordSettings
from .fields import setting


def _names_in(file):
    """What a file of the library defines; importing the library imports Keras."""
    library = importlib.util.find_spec("keras_concatplexer").origin
    return runpy.run_path(str(pathlib.Path(library).parent / file))


_CHOICES = _names_in("choices.py")
_SIZES = tuple(_names_in("vit/sizes.py")["SIZES"])


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Data."""

    dataset: str = setting(
        "digits",
        "`digits` (embedded), a TFDS dataset's name, or `folder:PATH` with images "
        "in PATH/<split>/<class>/ or PATH/<class>/.",
    )
    data_dir: str = setting(
        "",
        "Where TFDS keeps data; empty: its own default.",
        needs=fields.A_TFDS_DATASET,
        may_change=True,
        is_path=True,
    )
    bad_images: str = setting(
        "fail", "Bad files: fail or skip.", ("fail", "skip"), needs=fields.A_FOLDER
    )
    train_split: str = setting("", "TFDS split to train on; empty: train.")
    validation_split: str = setting(
        "",
        "TFDS split that picks the best; empty: validation (or val, valid, dev), or "
        "else a tenth held out of the training split.",
    )
    test_split: str = setting(
        "", "TFDS split of the result; empty: test, or else a tenth held out, too."
    )
    image_size: int = setting(
        0,
        "Side of the model's images in pixels; 0: that of the ViT in --init_from, or "
        "else the dataset's, at least 4 patches, at most 16 and 224 pixels.",
        minimum=0,
    )


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Model."""

    model: str = setting(
        "concatplexer", "What to train.", ("vit", "concatplexer", "image_multiplexer")
    )
    size: str = setting(
        "auto",
        "Size of a ViT with random weights; auto: the one that fits the images.",
        ("auto", *_SIZES),
        needs=fields.RANDOM_WEIGHTS,
    )
    init_from: str = setting(
        "",
        "Where the ViT's trained weights come from: a workdir (its best model), a "
        ".keras file, or `hub:PRESET` of keras-hub; empty: random weights. Size, "
        "image size and classes come along.",
        is_path=True,
    )
    backbone: str = setting(
        "",
        "A second ViT, whose blocks, norm and head stand behind the multiplexer: one "
        f"of random weights ({', '.join(_SIZES)}), a workdir, a .keras file or "
        "`hub:PRESET`; empty: that of --init_from, or else the ViT's own other blocks.",
        needs=fields.CONCATPLEXER,
        is_path=True,
    )
    freeze_backbone: bool = setting(
        False,
        "Train only multiplexer, demultiplexer, final norm and head.",
        needs=fields.TRAINED_BACKBONE,
    )
    num_mux: int | tuple = setting(
        2,
        "Images per sequence. Several, such as 1,2,4, train an elastic concatplexer; "
        "the first is what evaluation and export take by default.",
        minimum=1,
        needs=fields.MULTIPLEXED,
    )
    num_mux_weights: tuple = setting(
        (),
        "Share of each batch for each N of an elastic concatplexer; empty: equal.",
        minimum=0,
        needs=fields.ELASTIC,
    )
    own_norm: bool = setting(
        False,
        "A final norm of its own for each N > 1 of an elastic concatplexer.",
        needs=fields.ELASTIC,
    )
    patchifier_depth: int = setting(
        -1,
        "Blocks that see each image alone; -1: half, none of an image_multiplexer.",
        minimum=-1,
        needs=fields.MULTIPLEXED,
    )
    reducer: str = setting(
        "conv",
        "How the tokens are reduced.",
        _CHOICES["REDUCERS"],
        needs=fields.CONCATPLEXER,
    )
    attention_scope: str = setting(
        "group",
        "Whether images of a group attend to each other.",
        _CHOICES["ATTENTION_SCOPES"],
        needs=fields.CONCATPLEXER,
    )
    shuffle_slots: bool = setting(
        False,
        "Draw the slots of a group's images anew in each step.",
        needs=fields.GROUP_SCOPE,
    )
    transform: str = setting(
        "gaussian_hadamard",
        "How an image_multiplexer keys its slots.",
        _CHOICES["TRANSFORMS"],
        needs=fields.IMAGE_MULTIPLEXER,
    )
    demultiplexer: str = setting(
        "index",
        "How an image_multiplexer tells its images apart.",
        _CHOICES["DEMULTIPLEXERS"],
        needs=fields.IMAGE_MULTIPLEXER,
    )


@dataclasses.dataclass(frozen=True)
class RecipeSettings:
    """Recipe."""

    objective: str = setting(
        "labels",
        "What to learn. labels: the classes. features: to give the features that the "
        "ViT in --teacher gives, or else that in --init_from; labels are not looked "
        "at.",
        ("labels", "features"),
    )
    augmentation: str = setting(
        "none",
        "Random changes of the training images: `shift` by up to a tenth "
        "of the side, `crop` by an eighth, `flip` left to right.",
        ("none", "shift", "flip", "flip_shift", "flip_crop"),
    )
    randaugment: float = setting(
        0.0, "Magnitude of RandAugment from 0 to 1; 0: none.", minimum=0
    )
    random_erasing: float = setting(
        0.0, "Share of training images with an erased box; 0: none.", minimum=0
    )
    mixup: float = setting(
        0.0,
        "MixUp's alpha; 0: none. With CutMix too, they take turns by the step.",
        minimum=0,
    )
    cutmix: float = setting(0.0, "CutMix's alpha; 0: none.", minimum=0)
    label_smoothing: float = setting(
        0.0,
        "Share of the labels spread over all classes.",
        minimum=0,
        needs=fields.LABELS,
    )
    epochs: int = setting(
        30,
        "Passes over the training split. A run that goes on may get more, or fewer, "
        "down to what is done.",
        minimum=1,
        may_change=True,
    )
    early_stopping: int = setting(
        0,
        "End after so many epochs without a lower validation loss; 0: never.",
        minimum=0,
        may_change=True,
    )
    batch_size: int = setting(64, "Images per step, of all replicas.", minimum=1)
    learning_rate: float = setting(
        1e-3, "Peak of warmup and cosine decay.", minimum=0, may_change=True
    )
    warmup_epochs: float = setting(
        2.0, "Epochs of linear warmup.", minimum=0, may_change=True
    )
    weight_decay: float = setting(0.05, "AdamW's decoupled decay.", minimum=0)
    clip_norm: float = setting(
        0.0,
        "Limit of the gradient's global norm; 0: none.",
        minimum=0,
        may_change=True,
    )
    ema: float = setting(
        0.0,
        "Momentum of the weights' moving average, below 1; 0: none. With it, "
        "validation and the saved models use the average.",
        minimum=0,
    )
    gradient_accumulation: int = setting(
        1, "Steps whose gradients are averaged; on one device only.", minimum=1
    )
    seed: int = setting(0, "Seed of weights, order and augmentation.", minimum=0)


@dataclasses.dataclass(frozen=True)
class DistillationSettings:
    """Distillation."""

    teacher: str = setting(
        "",
        "Workdir of an un-multiplexed ViT to distil from; empty: none.",
        is_path=True,
    )
    teacher_weight: float = setting(
        0.5,
        "Share of the teacher in the loss, above 0, at most 1.",
        minimum=0,
        needs=fields.TEACHER,
    )
    teacher_temperature: float = setting(
        3.0,
        "Temperature of both softmaxes in the teacher's loss.",
        needs=fields.TEACHER,
    )
    teacher_feature_weight: float = setting(
        0.0,
        "Weight of the class token's squared difference from the teacher's, beside "
        "the loss of the logits; 0: none.",
        minimum=0,
        needs=fields.TEACHER_OF_FEATURES,
    )
    in_place_weight: float = setting(
        0.0,
        "Weight of the loss by which N = 1 of an elastic concatplexer teaches the "
        "others; 0: none.",
        minimum=0,
        needs=fields.ELASTIC_CLASSIFIER,
    )
    in_place_temperature: float = setting(
        2.0, "Temperature of both softmaxes in that loss.", needs=fields.IN_PLACE
    )


# In the order of the help.
TOPICS = (
    DataSettings,
    ModelSettings,
    RecipeSettings,
    DistillationSettings,
    ExecutionSettings,
    RecordSettings,
)
