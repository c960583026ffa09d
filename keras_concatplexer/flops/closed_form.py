"""What a ViT and its multiplexed forms cost, from their sizes alone."""

import math

from keras_concatplexer.arguments import int_pair, one_of, positive_int
from keras_concatplexer.flops import image_multiplexer
from keras_concatplexer.flops.cost import share
from keras_concatplexer.flops.vit_shape import ViTShape, read_vit


def vit_cost(size, image_shape, num_classes):
    """Computes the cost of a ViT without building it.

    Args:
        size: a name in `keras_concatplexer.vit.SIZES`, or a `ViTSize`.
        image_shape: `(height, width, channels)`, in pixels.
        num_classes: int.

    Returns:
        `Cost` per image, in MACs; all blocks are the stage "backbone".

    Raises:
        ValueError: for an unknown size, or an image that its patches do not fill.

    Example:

    >>> round(vit_cost("vit_b16", (224, 224, 3), 1000).gmacs_per_image, 2)
    17.56
    """
    return _vit(ViTShape.of_size(size, image_shape, num_classes))


def concat_cost(
    size,
    image_shape,
    num_classes,
    num_mux,
    patchifier_depth=None,
    kernel_size=None,
    strides=None,
    reducer="conv",
    attention_scope="group",
):
    """Computes the cost of a `ConcatPlexer` without building it.

    Args: as of `vit_cost`, and those of `ConcatPlexer`.

    Returns:
        `Cost` per image, in MACs, for a batch whose groups are full.

    Raises:
        ValueError: as of `vit_cost`, for a depth that is not in the ViT, and for a
            reducer without a closed formula.

    Example:

    >>> cost = concat_cost("vit_b16", (224, 224, 3), 1000, num_mux=2)
    >>> round(cost.gmacs_per_image, 2)
    13.46
    """
    from keras_concatplexer.layers import token_reduction

    shape = ViTShape.of_size(size, image_shape, num_classes)
    if patchifier_depth is None:
        patchifier_depth = shape.num_layers // 2
    positive_int("num_mux", num_mux)
    one_of("attention_scope", attention_scope, ("group", "image"))
    if strides is None:
        strides = token_reduction.default_strides(num_mux)
    strides = int_pair("strides", strides)
    if kernel_size is None:
        kernel_size = token_reduction.default_kernel_size(strides)
    return _concat(
        shape,
        shape.checked_depth(patchifier_depth),
        num_patches=math.prod(token_reduction.reduced_grid(shape.grid_shape, strides)),
        taps=_taps(int_pair("kernel_size", kernel_size), reducer),
        images_per_sequence=num_mux if attention_scope == "group" else 1,
    )


def formula(model):
    """Computes the cost of a ViT or a multiplexed ViT from its sizes.

    Unlike `count` it traces nothing, and works on every backend.

    Args:
        model: ViT classifier of `keras_concatplexer.vit`, `ConcatPlexer` or
            `ImageMultiplexerViT`.

    Returns:
        `Cost` per image, in MACs, for a batch whose groups are full.

    Raises:
        ValueError: if there is no closed formula for the model, or for its way of
            multiplexing; `count` counts those.
    """
    from keras_concatplexer.models.multiplexed_vit import MultiplexedViT

    if not isinstance(model, MultiplexedViT):
        vit = read_vit(model)
        if vit is None:
            raise ValueError(
                "`formula` knows the ViTs of `keras_concatplexer.vit` and the "
                "multiplexed models; use `count` for other models. "
                f"Received: {model!r}"
            )
        return _vit(ViTShape.of_stages(vit))
    shape = ViTShape.of_stages(model.stages)
    if not hasattr(model, "attention_scope"):
        return image_multiplexer.shape_cost(
            shape,
            model.patchifier_depth,
            model.num_mux,
            model.transform,
            model.demultiplexer,
            model.mlp_dim,
        )
    multiplexer = model.get_layer("multiplexer")
    reduces = multiplexer.reduction is not None
    return _concat(
        shape,
        model.patchifier_depth,
        num_patches=multiplexer.tokens_per_image - shape.num_prefix_tokens,
        taps=_taps(multiplexer.kernel_size, model.reducer) if reduces else 0,
        images_per_sequence=multiplexer.num_mux,
    )


def _taps(kernel_size, reducer):
    """Kernel positions that each kept token sums over with a full matrix."""
    if reducer == "mean" or kernel_size == (1, 1):
        return 0
    if reducer != "conv":
        raise ValueError(
            "There is a closed formula for the reducers 'conv' and 'mean' only; use "
            f"`count` for others. Received: reducer={reducer!r}"
        )
    return math.prod(kernel_size)


def _vit(shape):
    return shape.cost(backbone=shape.blocks_macs(shape.num_layers, shape.num_tokens))


def _concat(shape, patchifier_depth, num_patches, taps, images_per_sequence):
    length = images_per_sequence * (shape.num_prefix_tokens + num_patches)
    sequence = shape.blocks_macs(shape.num_layers - patchifier_depth, length)
    return shape.cost(
        patchifier=shape.blocks_macs(patchifier_depth, shape.num_tokens),
        multiplexer=num_patches * taps * shape.hidden_dim**2,
        backbone=share(sequence, images_per_sequence),
    )
