"""Multiplexed models that have a name."""

import dataclasses
import difflib
import sys

import keras

from keras_concatplexer import flops
from keras_concatplexer.models.concatplexer import ConcatPlexer
from keras_concatplexer.models.image_multiplexer_vit import ImageMultiplexerViT
from keras_concatplexer.vit import keras_cv_vit, keras_hub_vit

OURS = "ours"
PAPER = "ConcatPlexer, arXiv 2308.11199"


@dataclasses.dataclass(frozen=True)
class Preset:
    """What a name stands for.

    Attributes:
        name: str.
        kind: `"concatplexer"` or `"imagemux"`.
        size: a name in `keras_concatplexer.vit.SIZES`.
        num_mux: int. Images per sequence.
        patchifier_depth: int. Blocks that see each image alone.
        strides: pair of ints or `None` for the default of `ConcatPlexer`.
        kernel_size: pair of ints or `None` for the default of `ConcatPlexer`.
        image_size: int. Side of the images by default, in pixels.
        source: str. Where the choice comes from.
    """

    name: str
    kind: str
    size: str
    num_mux: int
    patchifier_depth: int
    strides: tuple | None
    kernel_size: tuple | None
    image_size: int
    source: str


@dataclasses.dataclass(frozen=True)
class PresetCost:
    """One row of `list_presets`.

    Attributes:
        name: str.
        gmacs_per_image: float. In units of 10^9 multiply-accumulates.
        saving: float. Fraction of its ViT's cost that the preset saves.
        source: str. Where the choice comes from.
    """

    name: str
    gmacs_per_image: float
    saving: float
    source: str


# Size: blocks of a ConcatPlexer that see each image alone, side of the images.
# Half of the blocks, to which the GFLOPs of the paper's ViT-B/16 correspond.
_SIZES = {
    "nano4": (3, 32),
    "ti4": (4, 32),
    "ti16": (6, 224),
    "s16": (6, 224),
    "b32": (6, 224),
    "b16": (6, 224),
    "l16": (12, 224),
}
_NUM_MUX = (2, 4, 8)
# The GFLOPs of the paper are met by this one; all other choices are ours.
_SOURCES = {"concatplexer_b16_n2": PAPER}


def _rows():
    for size, (depth, image_size) in _SIZES.items():
        for num_mux in _NUM_MUX:
            for kind, patchifier_depth in (("concatplexer", depth), ("imagemux", 0)):
                name = f"{kind}_{size}_n{num_mux}"
                yield Preset(
                    name=name,
                    kind=kind,
                    size=f"vit_{size}",
                    num_mux=num_mux,
                    patchifier_depth=patchifier_depth,
                    strides=None,
                    kernel_size=None,
                    image_size=image_size,
                    source=_SOURCES.get(name, OURS),
                )


PRESETS = {preset.name: preset for preset in _rows()}


def from_preset(name, image_shape=None, num_classes=None, vit=None, **overrides):
    """Builds the multiplexed model that a name stands for.

    Args:
        name: str. A name that `list_presets` tells.
        image_shape: `(height, width, channels)`; by default the preset's, of 3
            channels.
        num_classes: int, 1000 by default.
        vit: what to wrap. `None`: a new ViT of the preset's size, of keras-cv's
            layers on TensorFlow and of keras-hub's on other backends. A str: a
            keras-hub preset by name, handle or local folder, with its trained
            weights. A ViT classifier: its images and classes then hold.
        **overrides: arguments of `ConcatPlexer` or `ImageMultiplexerViT` that are
            to differ from the preset's.

    Returns:
        `ConcatPlexer` or `ImageMultiplexerViT`, with fresh weights where it does
        not use those of `vit`.

    Raises:
        ValueError: for an unknown name, a ViT given together with other images or
            classes than its own, or arguments that do not fit.

    Example:

    >>> model = from_preset("concatplexer_nano4_n2", num_classes=10)
    >>> model.input_shape, model.output_shape
    ((None, 32, 32, 3), (None, 10))
    """
    preset = get_preset(name)
    if vit is None:
        vit = _build_vit(preset, image_shape, num_classes)
    elif isinstance(vit, str):
        vit = keras_hub_vit(
            vit, 1000 if num_classes is None else num_classes, image_shape
        )
    else:
        _check_same("image_shape", image_shape, tuple(vit.input_shape[1:]))
        _check_same("num_classes", num_classes, vit.output_shape[-1])
    arguments = {
        "num_mux": preset.num_mux,
        "patchifier_depth": preset.patchifier_depth,
        "name": preset.name,
    }
    if preset.kind == "imagemux":
        return ImageMultiplexerViT(vit, **{**arguments, **overrides})
    arguments |= {"strides": preset.strides, "kernel_size": preset.kernel_size}
    return ConcatPlexer(vit, **{**arguments, **overrides})


def get_preset(name):
    """Returns the `Preset` of a name.

    Raises:
        ValueError: if the name is unknown; the message lists the closest ones.
    """
    if name in PRESETS:
        return PRESETS[name]
    close = difflib.get_close_matches(str(name), PRESETS, n=4)
    hint = f"Did you mean {', '.join(close)}? " if close else ""
    raise ValueError(
        f"Unknown preset {name!r}. {hint}`list_presets()` tells all names. To wrap a "
        "preset of another library, load its ViT and pass it as `vit=`."
    )


def preset_cost(name, image_shape=None, num_classes=1000):
    """Computes what one image costs in a preset, without building it.

    Args:
        name: str.
        image_shape: `(height, width, channels)`; by default the preset's.
        num_classes: int.

    Returns:
        Tuple of two `Cost`, in MACs: of the preset, and of its ViT.
    """
    preset = get_preset(name)
    sizes = (preset.size, image_shape or _default_shape(preset), num_classes)
    options = (preset.num_mux, preset.patchifier_depth)
    if preset.kind == "imagemux":
        cost = flops.image_multiplexer_cost(*sizes, *options)
    else:
        cost = flops.concat_cost(*sizes, *options, preset.kernel_size, preset.strides)
    return cost, flops.vit_cost(*sizes)


def list_presets(num_classes=1000, file=None):
    """Prints a table of the presets, and returns its rows.

    The costs come from formulas, at the presets' own image sizes; no model is
    built.

    Args:
        num_classes: int. Classes of the head that is counted.
        file: text stream to print to, standard output by default.

    Returns:
        List of `PresetCost`.

    Example:

    >>> list_presets()[0].name  # doctest: +ELLIPSIS
    preset ... 'concatplexer_nano4_n2'
    """
    rows = []
    for name, preset in PRESETS.items():
        cost, vit_cost = preset_cost(name, num_classes=num_classes)
        saving = cost.saving(vit_cost)
        rows.append(PresetCost(name, cost.gmacs_per_image, saving, preset.source))
    table = [("preset", "GMACs per image", "saving against its ViT", "source")]
    table += [
        (row.name, f"{row.gmacs_per_image:.3f}", f"{row.saving:.1%}", row.source)
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, gmacs, saving, source in table:
        line = f"{name:<{widths[0]}}  {gmacs:>{widths[1]}}  {saving:>{widths[2]}}"
        print(f"{line}  {source}", file=sys.stdout if file is None else file)
    return rows


def _default_shape(preset):
    return preset.image_size, preset.image_size, 3


def _build_vit(preset, image_shape, num_classes):
    on_tensorflow = keras.backend.backend() == "tensorflow"
    build = keras_cv_vit if on_tensorflow else keras_hub_vit
    return build(
        preset.size,
        image_shape=_default_shape(preset) if image_shape is None else image_shape,
        num_classes=1000 if num_classes is None else num_classes,
    )


def _check_same(name, asked, given):
    asked = tuple(asked) if isinstance(asked, list) else asked
    if asked is not None and asked != given:
        raise ValueError(
            f"The given `vit` has {name}={given}; leave `{name}` out or pass the "
            f"same. Received: {name}={asked}"
        )
