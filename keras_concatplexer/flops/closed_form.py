"""What a ViT and its multiplexed forms cost, from their sizes alone."""

from keras_concatplexer.arguments import one_of, positive_int
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
        ValueError: as of `vit_cost` and of `ConcatPlexer`.

    Example:

    >>> cost = concat_cost("vit_b16", (224, 224, 3), 1000, num_mux=2)
    >>> round(cost.gmacs_per_image, 2)
    13.46
    """
    from keras_concatplexer.layers import ConcatMultiplexer
    from keras_concatplexer.layers.token_reduction import default_strides

    shape = ViTShape.of_size(size, image_shape, num_classes)
    if patchifier_depth is None:
        patchifier_depth = shape.num_layers // 2
    positive_int("num_mux", num_mux)
    one_of("attention_scope", attention_scope, ("group", "image"))
    multiplexer = ConcatMultiplexer(
        num_mux if attention_scope == "group" else 1,
        shape.grid_shape,
        default_strides(num_mux) if strides is None else strides,
        kernel_size,
        reducer,
        shape.num_prefix_tokens,
    )
    return _concat(shape, shape.checked_depth(patchifier_depth), multiplexer)


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
    return _concat(shape, model.patchifier_depth, model.get_layer("multiplexer"))


def _vit(shape):
    return shape.cost(backbone=shape.blocks_macs(shape.num_layers, shape.num_tokens))


def _concat(shape, patchifier_depth, multiplexer):
    width, num_tokens = shape.hidden_dim, shape.num_tokens
    images = multiplexer.images_per_sequence
    reduction = 0
    if multiplexer.reduction is not None:
        reduction = multiplexer.reduction.macs(width)
    if multiplexer.needs_scores:
        # The class token's query, all keys, their products.
        reduction += (1 + num_tokens) * width**2 + num_tokens * width
    sequence = shape.blocks_macs(
        shape.num_layers - patchifier_depth, images * multiplexer.tokens_per_image
    )
    return shape.cost(
        patchifier=shape.blocks_macs(patchifier_depth, num_tokens),
        multiplexer=reduction,
        backbone=share(sequence, images),
    )
