"""Images per second at each N, as `benchmarks.speed.throughput` measured them."""

import json
import pathlib
import re

from benchmarks.speed.results import images_per_second

ELASTIC_ROW = re.compile(r".*elastic.*\bN = (\d+)\b.*")


def read_rates(path, precision="bfloat16", batch_size=8):
    """Reads the images per second of the elastic model from `throughput.json`.

    Args:
        path: path of the file.
        precision: str, of the rows.
        batch_size: int, of the requests.

    Returns:
        dict, N -> images per second.

    Raises:
        ValueError: if there are no such rows.
    """
    rates = {
        int(match[1]): images_per_second(row, batch_size)
        for name, row in json.loads(pathlib.Path(path).read_text())["rows"].items()
        if row["precision"] == precision and (match := ELASTIC_ROW.fullmatch(name))
    }
    if not rates or None in rates.values():
        raise ValueError(
            f"{path} has no images per second of an elastic model in {precision} at "
            f"batch {batch_size}. Run python -m benchmarks.speed.throughput, or give "
            "--rates=1:R1,2:R2,4:R4."
        )
    return dict(sorted(rates.items()))


def parse_rates(values):
    """Returns dict, N -> images per second, of `["1:18.9", "2:25", ...]`."""
    try:
        return {
            int(n): float(rate) for n, _, rate in (v.partition(":") for v in values)
        }
    except ValueError as error:
        raise ValueError(
            f"Expected --rates=1:R1,2:R2,4:R4. Received: {','.join(values)}"
        ) from error
