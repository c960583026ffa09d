"""What became int8 in a fused graph, and how well it answers."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Int8Report:
    """What a calibration came to.

    Attributes:
        products: dict, name (`block_0/qkv`) -> `"int8"` or `"bfloat16"`.
        sensitivity: dict, name -> squared error of the answers with only this product
            in int8, over their squared size.
        agreement: float, how well the answers to the images held out agree with those
            of float32, 1 at best; of an elastic model its lowest.
        num_range_images: int, images that chose scales and ranges.
        num_checked_images: int, images held out.
        agreement_of: `"best class"`, the share of images where it is the same, or
            `"cosine of features"`, its mean.
    """

    products: dict
    sensitivity: dict
    agreement: float
    num_range_images: int
    num_checked_images: int
    agreement_of: str = "best class"

    def card(self):
        """Returns the report as JSON values, for the model card."""
        return dataclasses.asdict(self)

    def table(self):
        """Returns the report as text, a line per kind of product."""
        blocks_of = {}
        for path, precision in self.products.items():
            block, name = path.split("/")
            blocks_of.setdefault(name, {}).setdefault(precision, []).append(block)
        lines = [f"{'product':15}{'int8':>5}{'bfloat16':>10}"]
        for name, blocks in blocks_of.items():
            kept = blocks.get("bfloat16", [])
            line = f"{name:15}{len(blocks.get('int8', [])):5d}{len(kept):10d}"
            lines.append(f"{line}  {', '.join(kept)}".rstrip())
        lines.append(
            f"Agreement with float32, {self.agreement_of}: {self.agreement:.1%} on "
            f"{self.num_checked_images} images that chose no range"
        )
        return "\n".join(lines)
