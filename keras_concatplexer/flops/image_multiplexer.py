"""What an Image Multiplexer costs, from its sizes alone."""

from keras_concatplexer.arguments import positive_int
from keras_concatplexer.flops.cost import share
from keras_concatplexer.flops.vit_shape import ViTShape


def image_multiplexer_cost(
    size,
    image_shape,
    num_classes,
    num_mux,
    patchifier_depth=0,
    transform="gaussian_hadamard",
    demultiplexer="index",
    mlp_dim=None,
):
    """Computes the cost of an `ImageMultiplexerViT` without building it.

    `num_mux` images share a sequence that is as long as one image's.

    Args: as of `vit_cost`, and those of `ImageMultiplexerViT`.

    Returns:
        `Cost` per image, in MACs, for a batch whose groups are full.

    Raises:
        ValueError: as of `vit_cost`, for a depth that is not in the ViT, and for a
            transform or demultiplexer without a closed formula.

    Example:

    >>> cost = image_multiplexer_cost("vit_b16", (224, 224, 3), 1000, num_mux=2)
    >>> cost.stages["patchifier"]
    0
    """
    shape = ViTShape.of_size(size, image_shape, num_classes)
    return shape_cost(
        shape,
        shape.checked_depth(patchifier_depth),
        positive_int("num_mux", num_mux),
        transform,
        demultiplexer,
        mlp_dim,
    )


def shape_cost(shape, patchifier_depth, num_mux, transform, demultiplexer, mlp_dim):
    """Computes the `Cost` of an Image Multiplexer around a ViT of a `ViTShape`."""
    width, num_tokens = shape.hidden_dim, shape.num_tokens
    # The index demultiplexer reads one token per slot in front of the image's.
    length = num_tokens + (num_mux if demultiplexer == "index" else 0)
    sequence = shape.blocks_macs(shape.num_layers - patchifier_depth, length)
    return shape.cost(
        patchifier=shape.blocks_macs(patchifier_depth, num_tokens),
        multiplexer=transform_macs(transform, length, width, num_mux),
        backbone=share(sequence, num_mux),
        demultiplexer=demultiplexer_macs(
            demultiplexer, num_tokens, width, mlp_dim or width, num_mux
        ),
    )


def transform_macs(transform, num_tokens, hidden_dim, num_mux):
    """MACs per image of a slot's transform on `num_tokens`.

    Elementwise products are none; an orthogonal matrix is `D x D`, or two of rank
    `D // num_mux`.

    Raises:
        ValueError: for a transform without a closed formula.
    """
    if transform in ("gaussian_hadamard", "binary_hadamard"):
        return 0
    if transform == "random_orthogonal":
        return num_tokens * hidden_dim**2
    if transform == "low_rank_orthogonal":
        return 2 * num_tokens * hidden_dim * (hidden_dim // num_mux)
    raise _no_formula("transform", transform)


def demultiplexer_macs(demultiplexer, num_tokens, hidden_dim, mlp_dim, num_mux):
    """MACs per image of reading `num_tokens` out of a mixture of `num_mux` images.

    An MLP of two layers, `D -> mlp_dim -> D`. `"index"`: on each token joined with
    its slot's; the first layer, linear, takes the tokens once for all slots, and
    each slot's token once. `"key"`: the same with weights in place of the slots'
    tokens, whose share of the cost vanishes in a large batch. `"mlp"`: one MLP per
    slot.

    Raises:
        ValueError: for a demultiplexer without a closed formula.
    """
    layer = num_tokens * hidden_dim * mlp_dim
    if demultiplexer == "index":
        return share(layer, num_mux) + hidden_dim * mlp_dim + layer
    if demultiplexer == "key":
        return share(layer, num_mux) + layer
    if demultiplexer == "mlp":
        return 2 * layer
    raise _no_formula("demultiplexer", demultiplexer)


def _no_formula(name, value):
    return ValueError(
        f"There is no closed formula for this `{name}`; use `count`. "
        f"Received: {name}={value!r}"
    )
