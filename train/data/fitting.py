"""Sizes of image and ViT that fit each other, and the images that there are."""

import math

from keras_concatplexer.vit import SIZES

# Patches on a side of an image: enough to tell things apart, and few enough to pay.
MIN_PATCHES, MAX_PATCHES = 4, 16
LARGEST_SIDE = 224
# The largest side -> the ViT for images of up to that. Each cuts them into 4 to 14
# patches a side, and has the width for the detail that they show.
SIZES_OF_SIDES = {48: "vit_nano4", 96: "vit_nano8", LARGEST_SIDE: "vit_ti16"}
AUTO = "auto"
# The attention scores of one step, of all blocks, on one device.
MAX_SCORE_BYTES = 16 * 2**30


def fitting_size(size, side):
    """Returns the name of a ViT's size.

    Args:
        size: str, the name, or "auto" for the one that fits the images.
        side: int, of the images.
    """
    if size != AUTO:
        return size
    fitting = (name for largest, name in SIZES_OF_SIDES.items() if side <= largest)
    return next(fitting, SIZES_OF_SIDES[LARGEST_SIDE])


def default_side(side, size):
    """Returns the side of a ViT's images.

    Args:
        side: int, the usual side of the images that there are.
        size: str, as of `fitting_size`.
    """
    patch = SIZES[fitting_size(size, side)].patch_size
    least, most = (
        MIN_PATCHES * patch,
        max(MIN_PATCHES * patch, min(MAX_PATCHES * patch, LARGEST_SIDE)),
    )
    return min(max(math.ceil(side / patch) * patch, least), most)


def check_cost(size, side, batch_size, num_replicas=1):
    """Refuses a ViT whose attention no device has the memory for.

    Args:
        size: str, name of the ViT's size.
        side: int, of its images.
        batch_size: int, images per step.
        num_replicas: int, devices that share them.

    Raises:
        ValueError: with the flags that mend it.
    """
    vit = SIZES[size]
    num_tokens = (side // vit.patch_size) ** 2 + 1
    scores = 4 * vit.num_layers * vit.num_heads * num_tokens**2
    needed = scores * math.ceil(batch_size / num_replicas)
    if needed <= MAX_SCORE_BYTES:
        return
    fitting = default_side(side, size)
    raise ValueError(
        f"--size={size} cuts an image of {side} pixels into {num_tokens} tokens: the "
        f"attention scores of {batch_size} images take {needed / 2**30:.0f} GiB. Give "
        f"--image_size={fitting}, a --size with larger patches, or a --batch_size of "
        f"at most {max(MAX_SCORE_BYTES * num_replicas // scores, 1)}."
    )
