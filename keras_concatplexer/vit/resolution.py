"""The same ViT for images of another size."""

import math

from keras import ops

from keras_concatplexer.vit.stages import get_adapter, read_stages


def at_resolution(vit, image_shape):
    """Returns a copy of a ViT classifier for images of another size.

    Patches keep their size in pixels, so that the grid of patches changes; the
    patches' position embeddings are interpolated bicubically on it, as in
    fine-tuning at a higher resolution (arXiv 2010.11929, section 3.2). All other
    weights, and the positions of the tokens in front of the patches, are copied.

    Args:
        vit: ViT classifier made by a builder of `keras_concatplexer.vit`.
        image_shape: `(height, width, channels)` of the new images; as many
            channels as before; square for a ViT of keras-cv.

    Returns:
        `keras.Model` of the kind of `vit`, with weights of its own, not compiled.

    Raises:
        ValueError: if `vit` is not such a model, or `image_shape` does not fit.

    Example:

    >>> vit = keras_cv_vit("vit_nano4", image_shape=(16, 16, 1), num_classes=10)
    >>> at_resolution(vit, (24, 24, 1)).input_shape
    (None, 24, 24, 1)
    """
    old, adapter = read_stages(vit), get_adapter(vit)
    if tuple(image_shape)[2:] != old.image_shape[2:]:
        raise ValueError(
            f"The ViT takes images of {old.image_shape}; `image_shape` must be "
            f"(height, width, {old.image_shape[2]}). Received: "
            f"image_shape={tuple(image_shape)}"
        )
    resized = adapter.rebuild(vit, tuple(image_shape))
    new = read_stages(resized)
    positions = adapter.position_embedding(vit)
    for source, target in zip(vit.weights, resized.weights, strict=True):
        value = source.value
        if source is positions:
            value = resize_positions(
                value, old.num_prefix_tokens, old.grid_shape, new.grid_shape
            )
        target.assign(value)
    for source, target in zip(vit.layers, resized.layers, strict=True):
        if not source.trainable:
            target.trainable = False
    return resized


def resize_positions(positions, num_prefix_tokens, old_grid, new_grid):
    """Interpolates the patches' position embeddings from one grid to another.

    Bicubic, computed in float32; smoothed where the new grid is coarser. The same
    grid gives the same values, exactly.

    Args:
        positions: float tensor `(..., num_prefix_tokens + P, D)`, where all axes in
            front have length 1.
        num_prefix_tokens: int. Positions at the start that are left as they are.
        old_grid: pair of ints `(rows, columns)` with `rows * columns == P`.
        new_grid: pair of ints.

    Returns:
        Tensor of the same rank and dtype with a position for each new patch.

    Raises:
        ValueError: if `positions` does not have the length of the old grid.
    """
    *leading, length, hidden_dim = positions.shape
    if length != num_prefix_tokens + math.prod(old_grid):
        raise ValueError(
            f"Expected {num_prefix_tokens} + {old_grid[0]} * {old_grid[1]} positions. "
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
        antialias=True,
        data_format="channels_last",
    )
    patches = ops.reshape(grid, (*leading, math.prod(new_grid), hidden_dim))
    return ops.concatenate([prefix, ops.cast(patches, positions.dtype)], axis=-2)
