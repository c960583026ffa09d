"""Multiplexed models that have a name."""

import dataclasses
import difflib
import sys
import typing

import keras

from keras_concatplexer.models.concatplexer import ConcatPlexer
from keras_concatplexer.models.image_multiplexer_vit import ImageMultiplexerViT
from keras_concatplexer.vit import keras_cv_vit, keras_hub_vit

OURS = "ours"
PAPER = "ConcatPlexer, arXiv 2308.11199"
MODELS = {"concatplexer": ConcatPlexer, "imagemux": ImageMultiplexerViT}


@dataclasses.dataclass(frozen=True)
class Preset:
    """What a name stands for: a multiplexed ViT with the defaults of its class.

    Attributes:
        name: str.
        kind: a key of `MODELS`.
        size: a name in `keras_concatplexer.vit.SIZES`.
        num_mux: int. Images per group.
        image_size: int. Side of the images by default, in pixels.
        macs_per_image: int. Multiply-accumulates, with 3 channels and 1000 classes.
        vit_macs_per_image: int. Those of the ViT alone.
        source: str. Where the choice comes from.
    """

    name: str
    kind: str
    size: str
    num_mux: int
    image_size: int
    macs_per_image: int
    vit_macs_per_image: int
    source: str

    @property
    def gmacs_per_image(self):
        """Multiply-accumulates per image, in units of 10^9."""
        return self.macs_per_image / 1e9

    @property
    def saving(self):
        """Fraction of its ViT's cost that the preset saves."""
        return 1 - self.macs_per_image / self.vit_macs_per_image


# Size -> side of the images, and the MACs per image of the ViT, of a ConcatPlexer and
# of an Image Multiplexer at each N; a test counts them.
_NUM_MUX = (2, 4, 8)
_SIZES = {
    "nano4": (
        32,
        83_687_936,
        (65_338_624, 54_067_968, 48_959_232),
        (45_100_800, 24_045_952, 13_523_136),
    ),
    "nano8": (
        64,
        84_867_584,
        (66_518_272, 55_247_616, 50_138_880),
        (46_280_448, 25_225_600, 14_702_784),
    ),
    "ti4": (
        32,
        274_168_704,
        (204_178_176, 164_467_200, 145_797_120),
        (145_543_872, 76_605_024, 42_145_968),
    ),
    "ti16": (
        224,
        1_253_683_200,
        (963_768_576, 804_364_032, 742_119_168),
        (659_451_648, 351_497_856, 197_534_784),
    ),
    "s16": (
        224,
        4_598_882_304,
        (3_527_729_664, 2_934_357_504, 2_700_455_424),
        (2_397_138_432, 1_254_720_768, 683_539_584),
    ),
    "b32": (
        224,
        4_409_186_304,
        (3_575_894_016, 3_033_126_912, 2_688_706_560),
        (2_394_421_248, 1_313_882_112, 773_667_840),
    ),
    "b16": (
        224,
        17_563_828_224,
        (13_456_229_376, 11_171_232_768, 10_265_779_200),
        (9_107_217_408, 4_716_341_760, 2_520_959_232),
    ),
    "l16": (
        224,
        61_554_712_576,
        (46_696_218_624, 38_855_966_720, 35_634_020_352),
        (31_487_295_488, 16_085_864_448, 8_385_296_384),
    ),
}
# The GFLOPs of the paper are met by this one; all other choices are ours.
_SOURCES = {"concatplexer_b16_n2": PAPER}


def _presets():
    for size, (image_size, vit_macs, *macs_of_kinds) in _SIZES.items():
        for index, num_mux in enumerate(_NUM_MUX):
            for kind, macs in zip(MODELS, macs_of_kinds, strict=True):
                name = f"{kind}_{size}_n{num_mux}"
                yield Preset(
                    name=name,
                    kind=kind,
                    size=f"vit_{size}",
                    num_mux=num_mux,
                    image_size=image_size,
                    macs_per_image=macs[index],
                    vit_macs_per_image=vit_macs,
                    source=_SOURCES.get(name, OURS),
                )


PRESETS = {preset.name: preset for preset in _presets()}


def from_preset(
    name: str,
    image_shape: tuple[int, int, int] | None = None,
    num_classes: int | None = None,
    vit: keras.Model | None = None,
    **overrides,
) -> keras.Model:
    """Builds the multiplexed model that a name stands for.

    Args:
        name: str. A name that `list_presets` tells.
        image_shape: `(height, width, channels)`; by default the preset's, of 3
            channels.
        num_classes: int, 1000 by default.
        vit: what to wrap. `None`: a new ViT of the preset's size, of keras-cv's
            layers on TensorFlow and of keras-hub's on other backends. A str: a
            keras-hub preset by name, handle or local folder, with its trained
            weights. A ViT classifier: its images, classes and depth then hold.
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
    arguments = {"num_mux": preset.num_mux, "name": preset.name, **overrides}
    return MODELS[preset.kind](vit, **arguments)


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


def list_presets(file: typing.TextIO | None = None) -> list[Preset]:
    """Prints a table of the presets, and returns them.

    The costs are those of the presets' own image sizes and 1000 classes; no model is
    built.

    Args:
        file: text stream to print to, standard output by default.

    Returns:
        List of `Preset`.

    Example:

    >>> list_presets()[0].name  # doctest: +ELLIPSIS
    preset ... 'concatplexer_nano4_n2'
    """
    presets = list(PRESETS.values())
    table = [("preset", "GMACs per image", "saving against its ViT", "source")]
    table += [
        (row.name, f"{row.gmacs_per_image:.3f}", f"{row.saving:.1%}", row.source)
        for row in presets
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, gmacs, saving, source in table:
        line = f"{name:<{widths[0]}}  {gmacs:>{widths[1]}}  {saving:>{widths[2]}}"
        print(f"{line}  {source}", file=sys.stdout if file is None else file)
    return presets


def _build_vit(preset, image_shape, num_classes):
    on_tensorflow = keras.backend.backend() == "tensorflow"
    build = keras_cv_vit if on_tensorflow else keras_hub_vit
    return build(
        preset.size,
        image_shape=(preset.image_size, preset.image_size, 3)
        if image_shape is None
        else image_shape,
        num_classes=1000 if num_classes is None else num_classes,
    )


def _check_same(name, asked, given):
    asked = tuple(asked) if isinstance(asked, list) else asked
    if asked is not None and asked != given:
        raise ValueError(
            f"The given `vit` has {name}={given}; leave `{name}` out or pass the "
            f"same. Received: {name}={asked}"
        )
