"""The sizes of a ViT on which its cost depends."""

import dataclasses
import math

from keras_concatplexer.arguments import positive_int
from keras_concatplexer.flops.cost import Cost

STAGES = (
    "embedding",
    "patchifier",
    "multiplexer",
    "backbone",
    "demultiplexer",
    "head",
)


@dataclasses.dataclass(frozen=True)
class ViTShape:
    """The sizes that fix the cost of a ViT.

    Attributes:
        hidden_dim: int. Width of the tokens, D.
        mlp_dim: int. Width inside each block's MLP.
        num_layers: int. Number of blocks.
        grid_shape: pair of ints, rows and columns of patches.
        pixels_per_patch: int. Values in one patch, channels included.
        num_prefix_tokens: int. Tokens in front of the patches.
        num_classes: int.
    """

    hidden_dim: int
    mlp_dim: int
    num_layers: int
    grid_shape: tuple
    pixels_per_patch: int
    num_prefix_tokens: int
    num_classes: int

    @property
    def num_patches(self):
        return math.prod(self.grid_shape)

    @property
    def num_tokens(self):
        """Prefix and patch tokens of one image."""
        return self.num_prefix_tokens + self.num_patches

    @classmethod
    def of_size(cls, size, image_shape, num_classes):
        """The shape of a `ViTSize`, or of the name of one, on such images."""
        from keras_concatplexer.vit.sizes import get_size

        size = get_size(size)
        height, width, channels = image_shape
        side = size.patch_size
        if height % side or width % side:
            raise ValueError(
                f"The patch size, {side}, must divide the image. "
                f"Received: image_shape={tuple(image_shape)}"
            )
        return cls(
            hidden_dim=size.hidden_dim,
            mlp_dim=size.mlp_dim,
            num_layers=size.num_layers,
            grid_shape=(height // side, width // side),
            pixels_per_patch=side * side * channels,
            num_prefix_tokens=1,
            num_classes=positive_int("num_classes", num_classes),
        )

    @classmethod
    def of_stages(cls, stages):
        """The shape of a ViT that was read into `Stages`."""
        return cls(
            hidden_dim=stages.hidden_dim,
            mlp_dim=stages.mlp_dim,
            num_layers=len(stages.blocks),
            grid_shape=tuple(stages.grid_shape),
            pixels_per_patch=math.prod(stages.image_shape)
            // math.prod(stages.grid_shape),
            num_prefix_tokens=stages.num_prefix_tokens,
            num_classes=stages.num_classes,
        )

    def blocks_macs(self, num_blocks, num_tokens):
        """MACs of `num_blocks` blocks on one sequence of `num_tokens`."""
        return num_blocks * block_macs(num_tokens, self.hidden_dim, self.mlp_dim)

    def checked_depth(self, patchifier_depth):
        """Returns a number of blocks if the ViT has as many, else raises."""
        if not isinstance(patchifier_depth, int) or not (
            0 <= patchifier_depth <= self.num_layers
        ):
            raise ValueError(
                "`patchifier_depth` must be an integer from 0 to the ViT's number of "
                f"blocks, {self.num_layers}. "
                f"Received: patchifier_depth={patchifier_depth!r}"
            )
        return patchifier_depth

    def cost(self, **stages):
        """Returns the `Cost` of these stages with embedding and head added."""
        common = {
            "embedding": self.num_patches * self.pixels_per_patch * self.hidden_dim,
            "head": self.hidden_dim * self.num_classes,
        }
        return Cost({name: (common | stages).get(name, 0) for name in STAGES})


def block_macs(num_tokens, hidden_dim, mlp_dim):
    """MACs of one transformer block on one sequence of `num_tokens`.

    Four projections, two matrix products of attention, two layers of MLP:
    `(4 D + 2 M) D L + 2 L^2 D`, with `mlp_dim = 4 D`: `12 L D^2 + 2 L^2 D`.
    """
    projections = (4 * hidden_dim + 2 * mlp_dim) * hidden_dim * num_tokens
    return projections + 2 * num_tokens**2 * hidden_dim


def read_vit(model):
    """Returns the `Stages` of a ViT, or `None` for what is no ViT of ours."""
    from keras_concatplexer.vit import stages

    if any(adapter.matches(model) for adapter in stages.ADAPTERS):
        return stages.read_stages(model)
    return None
