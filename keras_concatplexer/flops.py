"""What a prediction costs, in multiply-accumulates.

One multiply-accumulate (MAC) is two floating-point operations (FLOPs). Much of the
literature writes "GFLOPs" where it counts MACs; everything here says which.
"""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of one image.

    Attributes:
        stages: dict, name of the stage -> MACs per image.
    """

    stages: dict

    @property
    def macs_per_image(self):
        return sum(self.stages.values())

    @property
    def flops_per_image(self):
        return 2 * self.macs_per_image

    @property
    def gmacs_per_image(self):
        return self.macs_per_image / 1e9


def block_macs(num_tokens, hidden_dim, mlp_dim):
    """MACs of one transformer block on one sequence of `num_tokens`.

    Four projections, two matrix products of attention, two layers of MLP:
    `(4 D + 2 M) D L + 2 L^2 D`, with `mlp_dim = 4 D`: `12 L D^2 + 2 L^2 D`.
    """
    projections = (4 * hidden_dim + 2 * mlp_dim) * hidden_dim * num_tokens
    return projections + 2 * num_tokens**2 * hidden_dim


def formula(model):
    """Computes the cost of a ViT or ConcatPlexer from its shapes.

    Counts matrix products and convolutions; normalisations, additions and
    activations are left out, as is usual.

    Args:
        model: ViT classifier of `keras_concatplexer.vit`, or a `ConcatPlexer`.

    Returns:
        `Cost` per image, in MACs, for a batch whose groups are full.
    """
    from keras_concatplexer.models.concatplexer import ConcatPlexer
    from keras_concatplexer.vit import read_stages

    multiplexed = isinstance(model, ConcatPlexer)
    vit = read_stages(model.vit if multiplexed else model)
    width, num_patches = vit.hidden_dim, math.prod(vit.grid_shape)
    pixels_per_patch = math.prod(vit.image_shape) // num_patches
    num_tokens = vit.num_prefix_tokens + num_patches
    depth = model.patchifier_depth if multiplexed else len(vit.blocks)
    stages = {
        "embedding": num_patches * pixels_per_patch * width,
        "patchifier": depth * block_macs(num_tokens, width, vit.mlp_dim),
        "multiplexer": 0,
        "backbone": 0,
        "demultiplexer": 0,
        "head": width * vit.num_classes,
    }
    if multiplexed:
        multiplexer = model.get_layer("multiplexer")
        kept, images = multiplexer.tokens_per_image, multiplexer.num_mux
        if multiplexer.reduction is not None:
            taps = math.prod(multiplexer.kernel_size)
            stages["multiplexer"] = (kept - vit.num_prefix_tokens) * taps * width**2
        sequence = block_macs(images * kept, width, vit.mlp_dim)
        stages["backbone"] = (len(vit.blocks) - depth) * sequence // images
    return Cost(stages)
