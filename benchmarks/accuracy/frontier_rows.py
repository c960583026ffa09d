"""What the frontiers compare, as data: two protocols, their recipes and rows.

Protocol A, "I have a trained ViT": every row starts from the teacher's weights, if it
can, and learns from its answers. Protocol B, "I train from scratch": every row starts
from random weights. Within a protocol all rows see as many images.
"""

import dataclasses
from collections.abc import Callable

# What every training of both protocols has.
SHARED = {
    "batch_size": 128,
    "augmentation": "flip_crop",
    "dtype_policy": "mixed_bfloat16",
    # Rows are chosen here, never on the test images.
    "validation_split": "train[98%:]",
    "image_summaries": False,
}
# The rows of an elastic training.
ELASTIC = (1, 2, 4)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What the rows must know of a data set.

    Attributes:
        size: name of the ViT.
        image_shape: tuple, of the images that models see.
        num_classes: int.
        flips: bool. Whether a mirrored image is of the same class.
    """

    size: str
    image_shape: tuple
    num_classes: int
    flips: bool = True


DATASETS = {
    "cifar10": Dataset("vit_nano4", (32, 32, 3), 10),
    "tiny_imagenet50": Dataset("vit_nano8", (64, 64, 3), 50),
    "digits": Dataset("vit_nano4", (16, 16, 1), 10, flips=False),
}


def same(size):
    """The ViT of the comparison itself."""
    return size


def fewer_blocks(kept, of):
    """Returns a function, `ViTSize` -> the same with a share of the blocks."""

    def change(size):
        return dataclasses.replace(
            size, num_layers=max(1, size.num_layers * kept // of)
        )

    return change


def narrower(size):
    """Three quarters of the width, in steps of the heads, which must divide it."""
    head_dim = max(1, size.hidden_dim * 3 // 4 // size.num_heads)
    return dataclasses.replace(
        size, hidden_dim=head_dim * size.num_heads, mlp_dim=size.mlp_dim * 3 // 4
    )


def coarser(size):
    """Patches of twice the side."""
    return dataclasses.replace(size, patch_size=2 * size.patch_size)


def wide(hidden_dim):
    """Returns a function, `ViTSize` -> another width and two thirds of the blocks.

    Behind a patchifier of the other third it stands for the rest of the ViT.
    """

    def change(size):
        return dataclasses.replace(
            fewer_blocks(2, 3)(size), hidden_dim=hidden_dim, mlp_dim=4 * hidden_dim
        )

    return change


@dataclasses.dataclass(frozen=True)
class Row:
    """One training, or one model that needs none.

    Attributes:
        name: str, unique in its protocol.
        family: str, whose colour it has in the plot.
        model: dict, settings of `python -m train` that make its model.
        size: function, `ViTSize` of the comparison -> that of its ViT.
        backbone: function, `ViTSize` of the comparison -> that of a second ViT behind
            the multiplexer; `None` for none.
        inherits: bool. Whether the ViT's weights are the teacher's.
        distilled: bool. Whether the teacher teaches.
        trained: bool. Without, the model is evaluated as it was wrapped.
        recipe: dict, settings that differ from the protocol's.
    """

    name: str
    family: str
    model: dict = dataclasses.field(default_factory=lambda: {"model": "vit"})
    size: Callable = same
    backbone: Callable | None = None
    inherits: bool = False
    distilled: bool = False
    trained: bool = True
    recipe: dict = dataclasses.field(default_factory=dict)

    @property
    def results(self):
        """Tuple of pairs: the names that its results have, and their N."""
        num_mux = self.model.get("num_mux", 1)
        if isinstance(num_mux, tuple):
            return tuple((f"{self.name} n{n}", n) for n in num_mux)
        return ((self.name, num_mux),)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A frontier.

    Attributes:
        title: str.
        images_seen: int or `None`. How many every row sees; `None`: `epochs` passes.
        epochs: int. Passes over the training images, where `images_seen` is `None`.
        recipe: dict, settings of `python -m train` that the rows share.
        rows: tuple of `Row`.
    """

    title: str
    recipe: dict
    rows: tuple
    epochs: int = 1
    images_seen: int | None = None

    def num_epochs(self, num_train_images):
        """Number of epochs on so many training images."""
        if self.images_seen is None:
            return self.epochs
        return max(1, -(-self.images_seen // num_train_images))


def concat(num_mux, scope, depth, **settings):
    """Returns the settings of a ConcatPlexer."""
    return {
        "model": "concatplexer",
        "num_mux": num_mux,
        "attention_scope": scope,
        "patchifier_depth": depth,
        **settings,
    }


IMAGE_MULTIPLEXER = {
    "model": "image_multiplexer",
    "num_mux": 2,
    "patchifier_depth": 3,
    "transform": "gaussian_hadamard",
    "demultiplexer": "mlp",
}
FROM_SCRATCH = {"learning_rate": 1e-3}
TEACHER = Row(
    "teacher",
    "ViT",
    recipe={"learning_rate": 1e-3, "warmup_epochs": 2.0, "cutmix": 1.0},
)


def _protocol_a():
    rows = [
        Row("vit", "ViT"),
        Row("4 of 6 blocks", "fewer blocks", size=fewer_blocks(2, 3)),
        Row("3 of 6 blocks", "fewer blocks", size=fewer_blocks(1, 2)),
    ]
    for num_mux in (2, 4):
        tome = concat(num_mux, "image", 3, reducer="tome")
        rows += [
            Row(f"ToMe n{num_mux}, untrained", "ToMe", tome, trained=False),
            Row(f"ToMe n{num_mux}", "ToMe", tome),
        ]
    rows += [
        Row(
            f"concat n{num_mux} {scope}, depth {depth}",
            f"ConcatPlexer, {scope} scope",
            concat(num_mux, scope, depth),
        )
        for scope in ("image", "group")
        for num_mux in (2, 4)
        for depth in (2, 3)
    ]
    # The teacher's features are learnt too, not only its answers.
    rows += [
        Row(
            f"concat n{num_mux} image, depth 2, features",
            "ConcatPlexer, image scope",
            concat(num_mux, "image", 2),
            recipe={"teacher_feature_weight": 1.0},
        )
        for num_mux in (2, 4)
    ]
    rows += [
        Row("select n2", "select", concat(2, "image", 3, reducer="select")),
        Row("elastic", "elastic", concat(ELASTIC, "image", 3)),
        Row("image mux n2", "Image Multiplexer", IMAGE_MULTIPLEXER),
    ]
    rows = [dataclasses.replace(row, inherits=True) for row in rows]
    # These cannot take the teacher's weights.
    rows += [
        Row("narrow", "smaller ViT", size=narrower, recipe=FROM_SCRATCH),
        Row("coarse", "smaller ViT", size=coarser, recipe=FROM_SCRATCH),
    ]
    return Protocol(
        "A: from a trained ViT",
        {"learning_rate": 3e-4, "warmup_epochs": 1.0},
        tuple(dataclasses.replace(row, distilled=row.trained) for row in rows),
        epochs=10,
    )


def _protocol_b():
    rows = [
        Row("vit", "ViT"),
        Row("4 of 6 blocks", "fewer blocks", size=fewer_blocks(2, 3)),
        Row("3 of 6 blocks", "fewer blocks", size=fewer_blocks(1, 2)),
        Row("narrow", "smaller ViT", size=narrower),
        Row("coarse", "smaller ViT", size=coarser),
        *(
            Row(
                f"concat n{num_mux} image, depth 2",
                "ConcatPlexer, image scope",
                concat(num_mux, "image", 2),
            )
            for num_mux in (2, 4)
        ),
        # The GMACs of the ViT, twice, and two thirds of them.
        *(
            Row(
                f"concat n{num_mux} image, depth 2, width {width}",
                "ConcatPlexer, wider backbone",
                concat(num_mux, "image", 2),
                backbone=wide(width),
            )
            for num_mux, width in ((2, 180), (4, 252), (4, 176))
        ),
    ]
    rows += [
        dataclasses.replace(row, name=f"{row.name}, distilled", distilled=True)
        for row in rows
    ]
    return Protocol(
        "B: from scratch",
        {**FROM_SCRATCH, "warmup_epochs": 2.0},
        tuple(rows),
        images_seen=1_000_000,
    )


PROTOCOLS = {"A": _protocol_a(), "B": _protocol_b()}
TEACHER_EPOCHS = 40


def chosen_rows(protocol, names):
    """Returns the `Row`s of these names, all of the protocol for none.

    Raises:
        ValueError: for a name that the protocol does not have.
    """
    known = {row.name: row for row in protocol.rows}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"There is no row {', '.join(map(repr, unknown))}. Expected some of: "
            f"{'; '.join(known)}."
        )
    return [known[name] for name in names or known]
