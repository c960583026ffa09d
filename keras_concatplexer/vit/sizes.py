"""The sizes of Vision Transformers that have a name, and the images that fit them."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ViTSize:
    """What fixes the size of a ViT, apart from its images and classes.

    Args:
        hidden_dim: int. Width of the tokens.
        num_layers: int. Number of transformer blocks.
        num_heads: int. Attention heads; divides `hidden_dim`.
        mlp_dim: int. Width of the hidden layer of each block's MLP.
        patch_size: int. Side of a square patch, in pixels.
    """

    hidden_dim: int
    num_layers: int
    num_heads: int
    mlp_dim: int
    patch_size: int


# ti to l: Dosovitskiy et al., arXiv 2010.11929, table 1, and Touvron et al.,
# arXiv 2012.12877, table 1. Those with patches of 4 and 8 pixels, for small
# images, are ours.
SIZES = {
    "vit_nano4": ViTSize(128, 6, 4, 512, 4),
    "vit_nano8": ViTSize(128, 6, 4, 512, 8),
    "vit_ti4": ViTSize(192, 9, 3, 768, 4),
    "vit_ti16": ViTSize(192, 12, 3, 768, 16),
    "vit_s16": ViTSize(384, 12, 6, 1536, 16),
    "vit_b16": ViTSize(768, 12, 12, 3072, 16),
    "vit_b32": ViTSize(768, 12, 12, 3072, 32),
    "vit_l16": ViTSize(1024, 24, 16, 4096, 16),
}


def get_size(size):
    """Returns the `ViTSize` of a name, or `size` itself if it is one.

    Raises:
        ValueError: if the name is unknown; the message lists the known ones.
    """
    if isinstance(size, ViTSize):
        return size
    if size not in SIZES:
        raise ValueError(
            f"Unknown `size`. Expected a `ViTSize` or one of {', '.join(SIZES)}. "
            f"Received: size={size!r}"
        )
    return SIZES[size]


def checked_image_shape(image_shape, patch_size):
    """Returns `image_shape` as a tuple, if patches of `patch_size` cover it.

    Args:
        image_shape: `(height, width, channels)`, positive ints.
        patch_size: int, or pair of ints `(height, width)`, in pixels.

    Raises:
        ValueError: if a side is not a positive integer, or the patch size does
            not divide the height or the width.
    """
    image_shape = tuple(image_shape)
    if len(image_shape) != 3 or not all(
        isinstance(side, int) and side > 0 for side in image_shape
    ):
        raise ValueError(
            "`image_shape` must be (height, width, channels), three positive "
            f"integers. Received: image_shape={image_shape}"
        )
    if isinstance(patch_size, int):
        patch_size = (patch_size, patch_size)
    for side, patch in zip(image_shape[:2], patch_size, strict=True):
        if side % patch:
            smaller = side // patch * patch
            raise ValueError(
                f"The patch size must divide the image: {patch} does not divide "
                f"{side}. Use images of {smaller or patch} or {smaller + patch} "
                "pixels, or another size. "
                f"Received: image_shape={image_shape}"
            )
    return image_shape
