"""What the frontier compares, as data.

A training makes one model and gives one row of results; an elastic training gives
one per number of images in a sequence.
"""

import dataclasses
import functools
from collections.abc import Callable

import keras_concatplexer as kcp

# Where the weights of a training come from: fresh, from a ViT trained for half of
# the epochs, or from one trained for all of them, which leaves none to the model.
SCRATCH, HALF, FULL = "scratch", "half", "full"
# The trainings whose weights others take.
VIT, VIT_HALF = "vit", "vit half"
# Images per sequence of the elastic model -> the same graph.
ELASTIC_GRAPHS = {1: VIT, 2: "concat n2 group", 4: "concat n4 group"}


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of results.

    Attributes:
        name: str.
        graph: str. The training whose model computes the same from an image but for
            the weights, and so at the same speed.
        variant: function, trained model -> the model to evaluate.
    """

    name: str
    graph: str
    variant: Callable = lambda model: model


@dataclasses.dataclass(frozen=True)
class Training:
    """One training of the comparison.

    Attributes:
        name: str.
        wrap: function, ViT -> the model to train.
        size: function, `ViTSize` of the comparison -> that of this ViT.
        start: `"scratch"`, `"half"` or `"full"`: what the ViT's weights are.
        epochs: float. Share of the epochs that the model is trained for.
        distilled: bool. Whether the fully trained ViT teaches.
        graph: str or `None`. As of `Row`; `None`: the training's own.
        several: tuple of `Row`, if it gives others than one of its own name.
    """

    name: str
    wrap: Callable = lambda vit: vit
    size: Callable = lambda size: size
    start: str = SCRATCH
    epochs: float = 1.0
    distilled: bool = False
    graph: str | None = None
    several: tuple = ()

    @property
    def rows(self):
        """Tuple of the `Row`s that the trained model gives."""
        return self.several or (Row(self.name, self.graph or self.name),)


def _concat(num_mux, scope, **arguments):
    return functools.partial(
        kcp.ConcatPlexer, num_mux=num_mux, attention_scope=scope, **arguments
    )


def _image_mux(vit):
    depth = len(kcp.vit.read_stages(vit).blocks) // 2
    return kcp.ImageMultiplexerViT(
        vit,
        num_mux=2,
        patchifier_depth=depth,
        transform="gaussian_hadamard",
        demultiplexer="mlp",
    )


def _elastic(vit):
    return kcp.ElasticConcatPlexer(vit, num_mux=tuple(ELASTIC_GRAPHS))


def _fewer_blocks(kept, of):
    def change(size):
        return dataclasses.replace(
            size, num_layers=max(1, size.num_layers * kept // of)
        )

    return change


def _narrower(size):
    # In steps of the heads, which must divide the width.
    head_dim = max(1, size.hidden_dim * 3 // 4 // size.num_heads)
    return dataclasses.replace(
        size, hidden_dim=head_dim * size.num_heads, mlp_dim=size.mlp_dim * 3 // 4
    )


def _coarser(size):
    return dataclasses.replace(size, patch_size=2 * size.patch_size)


def _tome(num_mux, **arguments):
    return _concat(num_mux, "image", reducer="tome", **arguments)


def trainings():
    """Returns all trainings in order, the main ones first, dict by name."""
    concat = {
        f"concat n{num_mux} {scope}": _concat(num_mux, scope)
        for num_mux in (2, 4)
        for scope in ("group", "image")
    }
    all_trainings = [
        Training(VIT),
        *(Training(name, wrap) for name, wrap in concat.items()),
        Training("vit 2/3 blocks", size=_fewer_blocks(2, 3)),
        Training("image mux n2", _image_mux),
        Training(VIT_HALF, epochs=0.5, graph=VIT),
        *(
            Training(f"{name} from vit", wrap, start=HALF, epochs=0.5, graph=name)
            for name, wrap in concat.items()
        ),
        Training("vit 1/2 blocks", size=_fewer_blocks(1, 2)),
        Training("vit narrow", size=_narrower),
        Training("vit coarse", size=_coarser),
        Training(
            "tome n2 untrained", _tome(2), start=FULL, epochs=0.0, graph="tome n2"
        ),
        Training("tome n4 untrained", _tome(4), start=FULL, epochs=0.0),
        Training("tome n2", _tome(2)),
        *(
            Training(f"{name} distilled", concat[name], distilled=True, graph=name)
            # A teacher makes a training dear: the paper's scope only.
            for name in ("concat n2 group", "concat n4 group")
        ),
        Training(
            "elastic",
            _elastic,
            several=tuple(
                Row(
                    f"elastic n{num_mux}",
                    graph,
                    lambda model, num_mux=num_mux: model.at(num_mux=num_mux),
                )
                for num_mux, graph in ELASTIC_GRAPHS.items()
            ),
        ),
    ]
    return {training.name: training for training in all_trainings}


def check(names, size, image_shape, num_classes, epochs):
    """Checks that the named trainings can be run, before any of them is.

    Args:
        names: list of str, names of trainings.
        size: a name in `kcp.vit.SIZES`, or a `ViTSize`.
        image_shape: `(height, width, channels)`.
        num_classes: int.
        epochs: int, of a full training.

    Raises:
        ValueError: for an unknown name or size, an image that a ViT's patches do
            not fill, or epochs that cannot be halved.
    """
    known = trainings()
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"There is no training {', '.join(map(repr, unknown))}. Expected some of: "
            f"{', '.join(known)}."
        )
    size = kcp.vit.sizes.get_size(size)
    for name in names:
        try:
            kcp.flops.vit_cost(known[name].size(size), image_shape, num_classes)
        except ValueError as error:
            raise ValueError(f"{name!r} cannot be built: {error}") from error
    halved = [name for name in names if known[name].epochs == 0.5]
    if halved and epochs % 2:
        raise ValueError(
            f"{', '.join(map(repr, halved))} train for half of the epochs: expected an "
            f"even number. Received: epochs={epochs}"
        )
