"""Orders of a set of images, and what a model answers on one."""

import dataclasses

import numpy as np


def balanced_orders(random, num_images, num_mux):
    """Yields random orders without end; N in a row bring each image to each slot.

    So slots are compared on the same images, and one with easy images by chance does
    not look better. Each order by itself is as likely as any other. Where `num_mux`
    does not divide `num_images`, a few images miss a slot.

    Args:
        random: NumPy's random generator.
        num_images: int.
        num_mux: int. Images per group.
    """
    while True:
        order = random.permutation(num_images)
        for _ in range(num_mux):
            # All move on by one slot, then those of a slot change places.
            order = np.roll(order, 1)
            for slot in range(num_mux):
                order[slot::num_mux] = random.permutation(order[slot::num_mux])
            yield order


def same_class_order(random, labels, num_mux):
    """Returns a random order in which groups share a class, as far as they can.

    The images that are left over of each class stand at the end.

    Args:
        random: NumPy's random generator.
        labels: int array, one per image.
        num_mux: int. Images per group.
    """
    order = random.permutation(len(labels))
    groups, rest = [], []
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        full = len(of_class) // num_mux * num_mux
        groups.append(of_class[:full].reshape(-1, num_mux))
        rest.append(of_class[full:])
    groups = random.permutation(np.concatenate(groups))
    return np.concatenate([groups.reshape(-1), *rest])


@dataclasses.dataclass(frozen=True)
class Draw:
    """A model's answers on one order of the images; each row is an image's.

    Attributes:
        probabilities: float64 `(num_images, num_classes)`.
        features: float64 `(num_images, hidden_dim)`, of length 1.
        slots: int `(num_images,)`. Where the image was.
        same_class: bool `(num_images,)`. All its neighbours had its class.
        other_class: bool `(num_images,)`. None of them had.
    """

    probabilities: np.ndarray
    features: np.ndarray
    slots: np.ndarray
    same_class: np.ndarray
    other_class: np.ndarray


def run(forward, images, labels, order, num_mux, num_rows):
    """Returns the `Draw` of one order.

    Args:
        forward: function, images -> (features, logits), arrays.
        images: array, a row per image.
        labels: int array `(num_images,)`.
        order: int array, a permutation of the images.
        num_mux: int. Images per sequence.
        num_rows: int. `forward` gets as many rows: the order is filled with its
            own start, and the filler's answers are dropped.
    """
    filled = np.resize(order, num_rows)
    features, logits = (
        np.asarray(rows)[: len(order)].astype("float64")
        for rows in forward(images[filled])
    )
    # (rows,) -> (G, N)
    groups = labels[filled].reshape(-1, num_mux)
    num_alike = (groups[:, :, None] == groups[:, None]).sum(-1)
    num_alike = num_alike.reshape(-1)[: len(order)]
    exponents = np.exp(logits - logits.max(-1, keepdims=True))
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    back = np.argsort(order)
    has_neighbours = num_mux > 1
    return Draw(
        (exponents / exponents.sum(-1, keepdims=True))[back],
        (features / np.maximum(lengths, 1e-12))[back],
        back % num_mux,
        has_neighbours & (num_alike == num_mux)[back],
        has_neighbours & (num_alike == 1)[back],
    )
