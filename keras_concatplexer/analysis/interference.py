"""How much an image's answer depends on its neighbours and its slot."""

import dataclasses
import functools
import itertools

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_concatplexer.analysis import draws
from keras_concatplexer.analysis.accuracy import Accuracy
from keras_concatplexer.arguments import positive_int
from keras_concatplexer.classifier import is_classifier
from keras_concatplexer.models.concatplexer import ConcatPlexer
from keras_concatplexer.models.ensemble import whole_groups
from keras_concatplexer.models.multiplexed_vit import MultiplexedViT
from keras_concatplexer.models.wrapped_vit import single_num_mux

# Classes whose probabilities differ by less are tied: an image's row in the batch
# changes the order of sums, and so the last digits.
TIE = 1e-5


@dataclasses.dataclass(frozen=True)
class Interference:
    """What other neighbours and slots change in a model's answers.

    Attributes:
        num_mux: int. Images per sequence.
        scope: `"group"` where the images of a group meet, else `"image"`.
        num_images: int.
        num_draws: int. Random orders of the images.
        flip_rate: float. Share of all (image, draw) pairs whose predicted class is
            not the image's most frequent one. Of classes as frequent, the first
            is taken; a class that is ahead by less than 1e-5 of probability does
            not count as another.
        flipped_images: float. Share of images with at least one such draw.
        spread: float. Mean over the images of the standard deviation over the draws
            of the true class's probability.
        max_spread: float. The largest of these deviations.
        feature_similarity: float. Mean cosine between the features of one image in
            two draws, over all images and pairs of draws. Features are what the
            head gets: the final norm of the image's demultiplexed class token.
        accuracy: float, over all draws.
        slot_accuracy: tuple of `Accuracy`, one per slot, over all draws.
        accuracy_same_class: `Accuracy` of images whose neighbours all had their
            class, or `None` if there were none. As these are rare, there are
            `num_draws` more orders that bring images of a class together; they
            count here alone.
        accuracy_other_class: `Accuracy` of images of whose neighbours none had
            their class, or `None`.
        image_spread: tuple of float, the deviation of each image.
    """

    num_mux: int
    scope: str
    num_images: int
    num_draws: int
    flip_rate: float
    flipped_images: float
    spread: float
    max_spread: float
    feature_similarity: float
    accuracy: float
    slot_accuracy: tuple
    accuracy_same_class: Accuracy | None
    accuracy_other_class: Accuracy | None
    image_spread: tuple = dataclasses.field(repr=False)

    def to_dict(self) -> dict:
        """All but `image_spread`, as a dict for JSON."""
        values = dataclasses.asdict(self)
        del values["image_spread"]
        return {**values, "slot_accuracy": list(values["slot_accuracy"])}

    def table(self) -> str:
        """The figures as a Markdown table, shares in percent."""
        rows = {
            "images, draws": f"{self.num_images}, {self.num_draws}",
            "N, scope": f"{self.num_mux}, {self.scope}",
            "predictions that flip": _percent(self.flip_rate),
            "images that flip at least once": _percent(self.flipped_images),
            "spread of the true class's probability": f"{self.spread:.4f}",
            "largest spread of an image": f"{self.max_spread:.4f}",
            "cosine similarity of features": f"{self.feature_similarity:.4f}",
            "accuracy": _percent(self.accuracy),
            **{
                f"accuracy in slot {slot}": accuracy
                for slot, accuracy in enumerate(self.slot_accuracy)
            },
            "accuracy, all neighbours of the same class": self.accuracy_same_class,
            "accuracy, all neighbours of other classes": self.accuracy_other_class,
        }
        lines = [
            f"| {name} | {'-' if value is None else value} |"
            for name, value in rows.items()
        ]
        return "\n".join(["| figure | value |", "|---|---|", *lines])


def _percent(share):
    return f"{100 * share:.2f} %"


def interference(
    model: keras.Model,
    images: ArrayLike,
    labels: ArrayLike,
    num_draws: int = 16,
    seed: int = 0,
    batch_size: int = 64,
) -> "Interference":
    """Shows the same images to a model many times, each time in other groups.

    Args:
        model: `ConcatPlexer`, `ImageMultiplexerViT` or a ViT of `vit`, which has no
            neighbours: nothing flips there. Of an elastic model pass
            `model.at(num_mux=n)`.
        images: float array `(num_images, height, width, channels)`, preprocessed;
            `num_mux` images at least.
        labels: int array `(num_images,)`.
        num_draws: int >= 2. Random orders; the model runs twice as many times over
            the images. In a multiple of `num_mux` each image takes each slot as
            often.
        seed: int. Of the orders.
        batch_size: int. Images per call; rounded up to whole groups.

    Returns:
        `Interference`.

    Raises:
        ValueError: if an argument is invalid.

    Example:

    >>> vit = keras_cv_vit("vit_nano4", image_shape=(16, 16, 1), num_classes=10)
    >>> images = np.random.default_rng(0).normal(size=(6, 16, 16, 1))
    >>> model = ConcatPlexer(vit, num_mux=2, attention_scope="image")
    >>> interference(model, images, np.arange(6), num_draws=2).flip_rate
    0.0
    """
    num_mux = single_num_mux(model)
    if not isinstance(model, MultiplexedViT):
        # The same function, in the form that is read below.
        model = ConcatPlexer(model, num_mux=1, attention_scope="image")
    positive_int("batch_size", batch_size)
    images, labels = np.asarray(images), np.asarray(labels)
    if not is_classifier(model):
        raise ValueError(
            "`interference` compares classes, and this model gives features. Received: "
            f"{model!r}"
        )
    _check(images, labels, num_mux, num_draws)
    batch_size = whole_groups(min(batch_size, len(images)), num_mux)
    forward = functools.partial(
        _with_features(model).predict, batch_size=batch_size, verbose=0
    )
    return measure(
        forward,
        images,
        labels,
        num_mux,
        "group" if model.mixes_images else "image",
        num_draws,
        seed,
        # Full batches alone: another batch size may round otherwise.
        whole_groups(len(images), batch_size),
    )


def _check(images, labels, num_mux, num_draws):
    if positive_int("num_draws", num_draws) < 2:
        raise ValueError(
            "`num_draws` must be at least 2, to compare them. Received: "
            f"num_draws={num_draws}"
        )
    if images.ndim != 4 or len(images) < num_mux:
        raise ValueError(
            "Expected images of shape (num_images, height, width, channels), at least "
            f"{num_mux} of them. Received: shape={images.shape}"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"`labels` must be one integer per image, of shape {images.shape[:1]}. "
            f"Received: shape={labels.shape}, dtype={labels.dtype}"
        )


def _with_features(model):
    """Model, images -> (features, logits)."""
    return keras.Model(model.input, [model.features.output, model.output])


def measure(forward, images, labels, num_mux, scope, num_draws, seed=0, num_rows=None):
    """Computes `Interference` of any function.

    Args:
        forward: function, images -> (features, logits), a row per image; consecutive
            images form a group.
        images: array, a row per image.
        labels: int array `(num_images,)`.
        num_mux: int. Images per group.
        scope: str.
        num_draws: int.
        seed: int.
        num_rows: int. Images that `forward` gets; `None`: the least whole groups.
    """
    random = np.random.default_rng(seed)
    run = functools.partial(
        draws.run,
        forward,
        images,
        labels,
        num_mux=num_mux,
        num_rows=num_rows or whole_groups(len(images), num_mux),
    )
    orders = draws.balanced_orders(random, len(labels), num_mux)
    drawn = [run(order) for order in itertools.islice(orders, num_draws)]
    alike = [
        run(draws.same_class_order(random, labels, num_mux))
        for _ in range(num_draws if num_mux > 1 else 0)
    ]

    # (draws, images, classes)
    probabilities = np.stack([draw.probabilities for draw in drawn])
    right = probabilities.argmax(-1) == labels
    flips = _flips(probabilities)
    spread = probabilities[:, np.arange(len(labels)), labels].std(0)
    slots = np.stack([draw.slots for draw in drawn])
    return Interference(
        num_mux=num_mux,
        scope=scope,
        num_images=len(labels),
        num_draws=num_draws,
        flip_rate=float(flips.mean()),
        flipped_images=float(flips.any(0).mean()),
        spread=float(spread.mean()),
        max_spread=float(spread.max()),
        feature_similarity=_similarity([draw.features for draw in drawn]),
        accuracy=float(right.mean()),
        slot_accuracy=tuple(
            Accuracy.of(right[slots == slot]) for slot in range(num_mux)
        ),
        accuracy_same_class=_accuracy_where("same_class", [*drawn, *alike], labels),
        accuracy_other_class=_accuracy_where("other_class", drawn, labels),
        image_spread=tuple(map(float, spread)),
    )


def _flips(probabilities):
    """Bool (draws, images): the class is not the image's most frequent one."""
    predicted = probabilities.argmax(-1)
    num_classes = probabilities.shape[-1]
    usual = np.array(
        [np.bincount(column, minlength=num_classes).argmax() for column in predicted.T]
    )
    lead = probabilities.max(-1) - probabilities[:, np.arange(len(usual)), usual]
    return lead > TIE


def _similarity(features):
    """Mean cosine over images and pairs of draws, of vectors of length 1."""
    # The square of a sum has every pair twice, and every vector with itself.
    num_draws, total = len(features), sum(features)
    squares = (total**2).sum(-1).mean()
    return float((squares - num_draws) / (num_draws * (num_draws - 1)))


def _accuracy_where(kind, drawn, labels):
    """`Accuracy` of the images that are of a kind in a draw, or `None`."""
    return Accuracy.of(
        np.concatenate(
            [
                (draw.probabilities.argmax(-1) == labels)[getattr(draw, kind)]
                for draw in drawn
            ]
        )
    )
