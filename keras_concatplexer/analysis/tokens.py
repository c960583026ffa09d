"""What a multiplexed model keeps of an image, and which images attend to which."""

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_concatplexer.models import ConcatPlexer


def kept_of_patches(model: keras.Model, image: ArrayLike) -> np.ndarray:
    """Tells how much each patch of an image matters to the reduced tokens.

    Each patch's token is replaced by the mean of all, one at a time: how far do the
    tokens behind the reduction move?

    Args:
        model: `ConcatPlexer`.
        image: float array `(height, width, channels)`, as the model sees it.

    Returns:
        float array `(rows, columns)` of the patch grid, with the sum 1. A patch with 0
        was dropped.

    Raises:
        ValueError: if `model` is another one, or reduces nothing.
    """
    _check(model)
    multiplexer = model.get_layer("multiplexer")
    if multiplexer.reduction is None:
        raise ValueError(
            "This model keeps all tokens. Expected strides that reduce them. Received: "
            f"strides={model.strides}"
        )
    front = keras.Model(model.input, _listed(multiplexer.input))
    # A list of one tensor comes back as that tensor.
    tokens, *scores = _listed(front(np.asarray(image)[None]))
    patches = ops.convert_to_numpy(tokens)[:, multiplexer.num_prefix_tokens :]
    # Row p has the patch p replaced: (P, P, D).
    number = patches.shape[1]
    changed = np.repeat(patches, number, axis=0)
    changed[range(number), range(number)] = patches.mean(1)
    reduce = multiplexer.reduction
    before = ops.convert_to_numpy(reduce(patches, *scores))
    scores = [ops.repeat(score, number, axis=0) for score in scores]
    after = ops.convert_to_numpy(reduce(changed, *scores))
    moved = np.sqrt(np.square(np.float32(after - before)).sum((1, 2)))
    return (moved / moved.sum()).reshape(multiplexer.grid_shape)


def attention_between_images(model: keras.Model, images: ArrayLike) -> np.ndarray:
    """Tells which images of a group attend to which, in each block of the backbone.

    Args:
        model: `ConcatPlexer` in group scope.
        images: float array `(num_images, height, width, channels)`, as the model sees
            them; full groups.

    Returns:
        float array `(num_blocks, num_mux, num_mux)`: the share of its attention that
        the tokens of the image in one slot (the row) pay to those of another (the
        column), a mean over tokens, heads and groups. A row's sum is 1.

    Raises:
        ValueError: if `model` is another one or the groups are not full.
    """
    _check(model)
    num_mux = model.num_mux
    if not model.mixes_images or model.proportional_attention:
        raise ValueError(
            "Expected a model whose images attend to each other, without "
            f"proportional attention. Received: num_mux={num_mux}, attention_scope="
            f"{model.attention_scope!r}, proportional_attention="
            f"{model.proportional_attention}"
        )
    if len(images) == 0 or len(images) % num_mux:
        raise ValueError(
            f"Expected full groups of {num_mux} images. Received: {len(images)} images"
        )
    stages = model.layer_stages.items()
    names = [name for name, stage in stages if stage == "backbone"]
    into_blocks = keras.Model(model.input, [model.get_layer(n).input for n in names])
    tokens = into_blocks(np.asarray(images))
    parts = model.block_parts[len(model.block_parts) - len(names) :]
    return np.stack(
        [
            _between(part, sequences, num_mux)
            for part, sequences in zip(parts, _listed(tokens), strict=True)
        ]
    )


def _check(model):
    if not isinstance(model, ConcatPlexer):
        raise ValueError(
            "Expected a `ConcatPlexer`; of an elastic model, `model.at(num_mux)`. "
            f"Received: {type(model).__name__}"
        )


def _listed(tensors):
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def _between(parts, sequences, num_mux):
    tokens = parts.norm1(sequences)
    # (G, L, D) -> (G, L, heads, D / heads)
    query, key = parts.attention.query_dense(tokens), parts.attention.key_dense(tokens)
    scores = ops.cast(ops.einsum("bqhd,bkhd->bhqk", query, key), "float32")
    weights = ops.convert_to_numpy(ops.softmax(scores / key.shape[-1] ** 0.5))
    # (G, heads, L, L) -> (G, heads, N, L / N, N, L / N)
    length = weights.shape[-1] // num_mux
    slots = weights.reshape(*weights.shape[:2], num_mux, length, num_mux, length)
    return slots.sum(-1).mean((0, 1, 3))
