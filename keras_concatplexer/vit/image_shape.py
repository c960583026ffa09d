"""The check of an image's shape that every ViT builder makes."""


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
