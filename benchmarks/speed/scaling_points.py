"""What the scaling is measured on, and what the FLOPs predict for it."""

import dataclasses
import math

from benchmarks.speed.rows import concat_row, vit_row

DEPTH = 3


def scaling_row(size, num_mux, image_size, precision):
    """The fused ViT for N = 1, else a ConcatPlexer split after `DEPTH` blocks."""
    if num_mux == 1:
        row = vit_row(size, precision)
    else:
        row = concat_row(size, num_mux, precision, patchifier_depth=DEPTH)
    return dataclasses.replace(
        row, name=f"N = {num_mux}, {image_size} px", image_size=image_size
    )


def predicted_gmacs(stages, num_mux, batch_size):
    """GMACs per image at a batch size, by the closed formula.

    A last group that is not full costs as much as a full one.

    Args:
        stages: dict, stage -> GMACs per image of full groups.
        num_mux: int. N.
        batch_size: int.
    """
    filled = math.ceil(batch_size / num_mux) * num_mux / batch_size
    shared = stages["backbone"]
    return sum(stages.values()) + (filled - 1) * shared


def add_predictions(points):
    """Adds `predicted`, images/s, to every point.

    From the ViT's speed at the same image size and batch, and the ratio of the
    costs; for the ViT itself from its speed at the smallest image size.

    Args:
        points: list of dicts with `num_mux`, `image_size`, `batch_size`, `gmacs`
            and `images_per_second`.
    """
    smallest = min(point["image_size"] for point in points)

    def vit_at(image_size, batch_size):
        for point in points:
            wanted = (point["num_mux"], point["image_size"], point["batch_size"])
            if wanted == (1, image_size, batch_size):
                return point
        raise ValueError(f"No ViT of {image_size} px at batch {batch_size}.")

    for point in points:
        is_vit = point["num_mux"] == 1
        image_size = smallest if is_vit else point["image_size"]
        peer = vit_at(image_size, point["batch_size"])
        ratio = peer["gmacs"] / point["gmacs"]
        point["predicted"] = peer["images_per_second"] * ratio
