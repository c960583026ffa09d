"""The same ViT for images of another shape, or for other classes."""

import math

import keras
from keras import ops

from keras_concatplexer.vit.stages import read_stages


def at_resolution(vit: keras.Model, image_shape: tuple[int, int, int]) -> keras.Model:
    """Returns a copy of a ViT classifier for images of another shape.

    Patches keep their size in pixels, so that the grid of patches changes; the
    patches' position embeddings are interpolated bicubically on it, as in
    fine-tuning at a higher resolution (arXiv 2010.11929, section 3.2). Between one
    channel and several the patch projection changes too: a gray image gets the
    tokens that it had repeated in every channel, and a colour image those of the mean
    of its channels. All other weights are copied.

    Args:
        vit: ViT classifier made by a builder of `keras_concatplexer.vit`.
        image_shape: `(height, width, channels)` of the new images; as many channels
            as before, or one, or several where it was one; square for a ViT of
            keras-cv.

    Returns:
        Model of the kind of `vit`, with weights of its own, not compiled.

    Raises:
        ValueError: if `vit` is not such a model, or `image_shape` does not fit.

    Example:

    >>> vit = keras_cv_vit("vit_nano4", image_shape=(16, 16, 1), num_classes=10)
    >>> at_resolution(vit, (24, 24, 1)).input_shape
    (None, 24, 24, 1)
    """
    return _copied(vit, tuple(image_shape), read_stages(vit).num_classes)


def with_classes(vit: keras.Model, num_classes: int | None) -> keras.Model:
    """Returns a copy of a ViT with a new head for other classes, or without one.

    All weights but the head's are copied; the head starts afresh.

    Args:
        vit: ViT classifier made by a builder of `keras_concatplexer.vit`.
        num_classes: int. It may be the old number: the head is new all the same.
            `None`: the output is the features.

    Returns:
        Model of the kind of `vit`, with weights of its own, not compiled.

    Raises:
        ValueError: if `vit` is not such a model, or the number is not positive.

    Example:

    >>> vit = keras_cv_vit("vit_nano4", image_shape=(16, 16, 1), num_classes=10)
    >>> with_classes(vit, 3).output_shape
    (None, 3)
    """
    return _copied(vit, read_stages(vit).image_shape, num_classes, new_head=True)


def _copied(vit, image_shape, num_classes, new_head=False):
    old = read_stages(vit)
    copy = vit.rebuilt(image_shape, num_classes)
    new = read_stages(copy)
    heads = [*old.head.weights, *new.head.weights] if new_head else []
    heads = {id(weight) for weight in heads}
    sources, targets = (
        [weight for weight in model.weights if id(weight) not in heads]
        for model in (vit, copy)
    )
    for source, target in zip(sources, targets, strict=True):
        value = source.value
        if source is old.embedding_parts.positions:
            value = resize_positions(
                value, old.grid_shape, new.grid_shape, old.embedding_parts.antialias
            )
        elif source is old.embedding_parts.projection.kernel:
            value = convert_channels(value, new.image_shape[-1])
        target.assign(value)
        target.trainable = source.trainable
    for source, target in zip(vit.layers, copy.layers, strict=True):
        if not source.trainable:
            target.trainable = False
    return copy


def convert_channels(kernel, num_channels):
    """Makes a patch projection's kernel one for another number of channels.

    Args:
        kernel: float tensor `(height, width, channels, hidden_dim)`.
        num_channels: int. One of the two numbers must be 1, unless they are equal.

    Raises:
        ValueError: for several channels that become others: nothing says which.
    """
    old = kernel.shape[2]
    if num_channels == old:
        return kernel
    if num_channels == 1:
        return ops.sum(kernel, axis=2, keepdims=True)
    if old == 1:
        return ops.repeat(kernel, num_channels, axis=2) / num_channels
    raise ValueError(
        f"The ViT takes images of {old} channels. `image_shape` may have as many, or "
        f"one. Received: {num_channels} channels"
    )


def resize_positions(positions, old_grid, new_grid, antialias=True):
    """Interpolates the patches' position embeddings from one grid to another.

    Bicubic, computed in float32. The same grid gives the same values, exactly.
    Positions in front of the patches' are left as they are.

    Args:
        positions: float tensor `(..., prefix + P, D)`, where all axes in front have
            length 1.
        old_grid: pair of ints `(rows, columns)` with `rows * columns == P`.
        new_grid: pair of ints.
        antialias: bool. Whether to smooth where the new grid is coarser.

    Returns:
        Tensor of the same rank and dtype with a position for each new patch.

    Raises:
        ValueError: if `positions` are fewer than the old grid's patches.
    """
    *leading, length, hidden_dim = positions.shape
    num_prefix_tokens = length - math.prod(old_grid)
    if num_prefix_tokens < 0:
        raise ValueError(
            f"Expected at least {old_grid[0]} * {old_grid[1]} positions. "
            f"Received: shape={tuple(positions.shape)}"
        )
    if tuple(old_grid) == tuple(new_grid):
        return positions
    prefix = positions[..., :num_prefix_tokens, :]
    # (..., P, D) -> (1, rows, columns, D)
    grid = ops.reshape(
        positions[..., num_prefix_tokens:, :], (1, *old_grid, hidden_dim)
    )
    grid = ops.image.resize(
        ops.cast(grid, "float32"),
        new_grid,
        interpolation="bicubic",
        antialias=antialias,
        data_format="channels_last",
    )
    patches = ops.reshape(grid, (*leading, math.prod(new_grid), hidden_dim))
    return ops.concatenate([prefix, ops.cast(patches, positions.dtype)], axis=-2)
