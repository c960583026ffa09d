"""The cost of one image, by the parts of its way."""

import dataclasses

# The stages of a ViT and of a multiplexed ViT, in the order of the data.
STAGES = (
    "embedding",
    "patchifier",
    "multiplexer",
    "backbone",
    "demultiplexer",
    "head",
)


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of one image, in multiply-accumulates.

    Attributes:
        stages: dict, name of the stage -> MACs per image, in the order of the data.

    Example:

    >>> cost = Cost({"embedding": 1_000_000, "head": 500_000})
    >>> cost.macs_per_image, cost.flops_per_image
    (1500000, 3000000)
    """

    stages: dict

    @property
    def macs_per_image(self):
        """Multiply-accumulates per image, the sum over the stages."""
        return sum(self.stages.values())

    @property
    def flops_per_image(self):
        """Floating-point operations per image: two per multiply-accumulate."""
        return 2 * self.macs_per_image

    @property
    def gmacs_per_image(self):
        """Multiply-accumulates per image, in units of 10^9."""
        return self.macs_per_image / 1e9

    def saving(self, reference):
        """Returns the fraction of `reference`, a `Cost`, that this cost saves."""
        return 1 - self.macs_per_image / reference.macs_per_image

    def __str__(self):
        scale, unit = _unit(self.macs_per_image)
        rows = {**self.stages, "total": self.macs_per_image}
        width = max(map(len, rows))
        lines = [
            f"{self.macs_per_image / scale:.3f} {unit}MACs per image "
            f"(multiply-accumulates; {self.flops_per_image / scale:.3f} {unit}FLOPs)"
        ]
        lines += [
            f"  {name:<{width}}  {macs / scale:10.3f} {unit}MACs"
            for name, macs in rows.items()
        ]
        return "\n".join(lines)


def _unit(macs):
    for scale, unit in ((1e9, "G"), (1e6, "M")):
        if macs >= scale / 10:
            return scale, unit
    return 1e3, "k"


def share(macs, num_images):
    """Returns an image's share of what `num_images` have in common."""
    return macs // num_images if macs % num_images == 0 else macs / num_images
