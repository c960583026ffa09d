"""Images per second at each N, as measured by `python -m benchmarks.throughput`."""

import json
import pathlib
import re

# What the rows of the throughput table are called: of an elastic model, or else of
# three models.
ELASTIC = re.compile(r".*elastic.*\bN = (\d+)\b.*")
SEPARATE = {1: "vit_b16", 2: "concatplexer_b16_n2", 4: "concatplexer_b16_n4"}


def read_rates(path, precision="bfloat16", batch_size=8):
    """Reads the images per second at each N from `throughput.json`.

    Args:
        path: path of the file.
        precision: str, of the rows.
        batch_size: int, of the requests.

    Returns:
        dict, N -> images per second.

    Raises:
        ValueError: if there are no such rows.
    """
    rows = {
        name: row
        for name, row in json.loads(pathlib.Path(path).read_text())["rows"].items()
        if row["precision"] == precision
    }
    names = {
        int(match[1]): name for name in rows if (match := ELASTIC.fullmatch(name))
    } or {n: f"{model}, {precision}" for n, model in SEPARATE.items()}
    try:
        return {
            n: rows[name]["images_per_second"][str(batch_size)]
            for n, name in sorted(names.items())
        }
    except KeyError as error:
        raise ValueError(
            f"{path} has no {error} for images per second in {precision} at batch "
            f"{batch_size}. Its rows in {precision}: {', '.join(rows) or 'none'}. Run "
            "python -m benchmarks.throughput, or give --rates=1:R1,2:R2,4:R4."
        ) from error


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
