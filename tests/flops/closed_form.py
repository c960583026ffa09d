"""What a ViT and its multiplexed forms cost, from their sizes: a check of the count."""

import math

import keras_concatplexer as kcp
from keras_concatplexer.flops import Cost
from keras_concatplexer.flops.cost import STAGES
from keras_concatplexer.vit.sizes import get_size


def block_macs(num_tokens, hidden_dim, mlp_dim):
    """MACs of one block on a sequence: four projections, two products, an MLP."""
    projections = (4 * hidden_dim + 2 * mlp_dim) * hidden_dim * num_tokens
    return projections + 2 * num_tokens**2 * hidden_dim


def vit_cost(size, image_shape, num_classes):
    """`Cost` of a ViT that is not built."""
    size, (height, width, channels) = get_size(size), image_shape
    num_patches = (height // size.patch_size) * (width // size.patch_size)
    patch = size.patch_size**2 * channels
    return _cost(
        embedding=num_patches * patch * size.hidden_dim,
        backbone=size.num_layers
        * block_macs(1 + num_patches, size.hidden_dim, size.mlp_dim),
        head=size.hidden_dim * num_classes,
    )


def formula(model):
    """`Cost` of a ViT, `ConcatPlexer` or `ImageMultiplexerViT` with full groups."""
    if isinstance(model, kcp.vit.ViT):
        # Whatever it is split by, with one image it is the ViT.
        model = kcp.ConcatPlexer(model, num_mux=1, patchifier_depth=0)
    vit = model.stages
    num_patches, width = math.prod(vit.grid_shape), vit.hidden_dim
    num_tokens = vit.num_prefix_tokens + num_patches
    behind = model.backbone_stages
    num_behind = len(model.block_parts) - model.patchifier_depth
    if isinstance(model, kcp.ConcatPlexer):
        parts = _concat(model, width, num_tokens)
    else:
        parts = _image_multiplexer(model, width, num_tokens)
    multiplexer, length, images, demultiplexer = parts
    return _cost(
        embedding=math.prod(vit.image_shape) * width,
        patchifier=model.patchifier_depth * block_macs(num_tokens, width, vit.mlp_dim),
        multiplexer=multiplexer,
        backbone=num_behind
        * block_macs(length, behind.hidden_dim, behind.mlp_dim)
        / images,
        demultiplexer=demultiplexer,
        head=behind.hidden_dim * behind.num_classes,
    )


def _cost(**stages):
    return Cost({name: stages.get(name, 0) for name in STAGES})


def _concat(model, width, num_tokens):
    layer = model.get_layer("multiplexer")
    num_patches = math.prod(layer.grid_shape)
    kept = layer.tokens_per_image - layer.num_prefix_tokens
    macs = 0
    if model.reducer == "conv" and layer.reduction is not None:
        window = math.prod(layer.kernel_size)
        macs = kept * window * width * model.backbone_stages.hidden_dim
        if layer.prefix_projection is not None:
            macs += layer.num_prefix_tokens * width * layer.hidden_dim
    elif model.reducer == "tome":
        left = num_patches
        while left > kept:
            second = left // 2
            # The similarities, then the sums of features and of sizes.
            macs += (left - second) * second * (2 * width + 1)
            left = max(kept, left - second)
    elif model.reducer == "select":
        # The class token's query, all keys, their products.
        macs = (1 + num_tokens) * width**2 + num_tokens * width
    images = model.num_mux if model.attention_scope == "group" else 1
    return macs, images * layer.tokens_per_image, images, 0


def _image_multiplexer(model, width, num_tokens):
    images, mlp_dim = model.num_mux, model.mlp_dim or width
    # The index demultiplexer reads a token per slot in front of the image's.
    length = num_tokens + (images if model.demultiplexer == "index" else 0)
    multiplexer = {
        "gaussian_hadamard": 0,
        "binary_hadamard": 0,
        "random_orthogonal": length * width**2,
        "low_rank_orthogonal": 2 * length * width * (width // images),
    }[model.transform]
    layer = num_tokens * width * mlp_dim
    demultiplexer = {
        # The first layer takes the mixture once for all slots, and each slot's token.
        "index": layer / images + width * mlp_dim + layer,
        # The slots' vectors cost the batch once: here each image its part.
        "key": (layer + images * width * mlp_dim) / images + layer,
        "mlp": 2 * layer,
    }[model.demultiplexer]
    return multiplexer, length, images, demultiplexer
