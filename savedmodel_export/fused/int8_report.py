"""What became int8 in a fused graph, and how well it answers."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Int8Report:
    """What a calibration came to.

    Attributes:
        products: dict, name (`block_0/qkv`) -> `"int8"` or `"bfloat16"`.
        sensitivity: dict, name -> squared error of the logits with only this product
            in int8, over their squared size.
        agreement: float, share of the images held out whose best class is that of
            float32; of an elastic model its lowest.
        num_range_images: int, images that chose scales and ranges.
        num_checked_images: int, images held out.
    """

    products: dict
    sensitivity: dict
    agreement: float
    num_range_images: int
    num_checked_images: int

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
            f"Same best class as float32: {self.agreement:.1%} of "
            f"{self.num_checked_images} images that chose no range"
        )
        return "\n".join(lines)
