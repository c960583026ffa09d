"""What a ViT and its multiplexed forms cost, from their sizes alone."""

import math

from keras_concatplexer.arguments import int_pair, one_of, positive_int
from keras_concatplexer.flops.cost import Cost
from keras_concatplexer.flops.vit_shape import ViTShape, read_vit

STAGES = (
    "embedding",
    "patchifier",
    "multiplexer",
    "backbone",
    "demultiplexer",
    "head",
)


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
        _checked_depth(patchifier_depth, shape),
        num_patches=math.prod(token_reduction.reduced_grid(shape.grid_shape, strides)),
        taps=_taps(int_pair("kernel_size", kernel_size), reducer),
        images_per_sequence=num_mux if attention_scope == "group" else 1,
    )


def image_multiplexer_cost(
    size,
    image_shape,
    num_classes,
    num_mux,
    patchifier_depth=0,
    demultiplexer="index",
):
    """Computes the cost of an `ImageMultiplexerViT` without building it.

    Its sequence is as long as one image's and serves `num_mux` images.

    Args: as of `vit_cost`, and those of `ImageMultiplexerViT`. The transforms
        counted are elementwise, at no MACs.

    Returns:
        `Cost` per image, in MACs, for a batch whose groups are full.

    Raises:
        ValueError: as of `vit_cost`, for a depth that is not in the ViT, and for
            an unknown demultiplexer.

    Example:

    >>> cost = image_multiplexer_cost("vit_b16", (224, 224, 3), 1000, num_mux=2)
    >>> cost.stages["patchifier"]
    0
    """
    shape = ViTShape.of_size(size, image_shape, num_classes)
    return _image_multiplexer(
        shape,
        _checked_depth(patchifier_depth, shape),
        positive_int("num_mux", num_mux),
        demultiplexer,
    )


def image_demultiplexer_macs(demultiplexer, num_tokens, hidden_dim):
    """MACs per image of bringing `num_tokens` tokens back from a shared sequence.

    Args:
        demultiplexer: `"index"`: each token, joined with its slot's token, goes
            through one dense layer, 2 D -> D, the same for all slots.
        num_tokens: int. Tokens of one image, the prefix included.
        hidden_dim: int. D.

    Raises:
        ValueError: for another demultiplexer.
    """
    one_of("demultiplexer", demultiplexer, ("index",))
    return num_tokens * 2 * hidden_dim * hidden_dim


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
            reducing tokens; `count` counts those.
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
    config = model.get_config()
    if "attention_scope" not in config:
        return _image_multiplexer(
            shape, model.patchifier_depth, model.num_mux, config.get("demultiplexer")
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


def _checked_depth(patchifier_depth, shape):
    if not isinstance(patchifier_depth, int) or not (
        0 <= patchifier_depth <= shape.num_layers
    ):
        raise ValueError(
            "`patchifier_depth` must be an integer from 0 to the ViT's number of "
            f"blocks, {shape.num_layers}. Received: {patchifier_depth!r}"
        )
    return patchifier_depth


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


def _cost(shape, **stages):
    common = {
        "embedding": shape.num_patches * shape.pixels_per_patch * shape.hidden_dim,
        "head": shape.hidden_dim * shape.num_classes,
    }
    return Cost({name: (common | stages).get(name, 0) for name in STAGES})


def _vit(shape):
    return _cost(shape, backbone=shape.blocks_macs(shape.num_layers, shape.num_tokens))


def _concat(shape, patchifier_depth, num_patches, taps, images_per_sequence):
    length = images_per_sequence * (shape.num_prefix_tokens + num_patches)
    sequence = shape.blocks_macs(shape.num_layers - patchifier_depth, length)
    return _cost(
        shape,
        patchifier=shape.blocks_macs(patchifier_depth, shape.num_tokens),
        multiplexer=num_patches * taps * shape.hidden_dim**2,
        backbone=_share(sequence, images_per_sequence),
    )


def _image_multiplexer(shape, patchifier_depth, num_mux, demultiplexer):
    sequence = shape.blocks_macs(shape.num_layers - patchifier_depth, shape.num_tokens)
    return _cost(
        shape,
        patchifier=shape.blocks_macs(patchifier_depth, shape.num_tokens),
        backbone=_share(sequence, num_mux),
        demultiplexer=image_demultiplexer_macs(
            demultiplexer, shape.num_tokens, shape.hidden_dim
        ),
    )


def _share(macs, num_images):
    """An image's share of what `num_images` have in common."""
    return macs // num_images if macs % num_images == 0 else macs / num_images
