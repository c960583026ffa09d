"""The N that a budget of accuracy or speed asks for."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence

from keras_concatplexer.arguments import one_of

ACCURACY = "accuracy"
SPEED = "images_per_second"


def choose_num_mux(
    results: str | os.PathLike | Sequence[Mapping], budget: Mapping[str, float]
) -> int:
    """Chooses the N of an elastic model that meets a budget.

    Of the N that meet every floor of the budget:

    | budget | the choice |
    |---|---|
    | `{"accuracy": 0.95}` | the fastest one |
    | `{"images_per_second": 40}` | the most accurate one |
    | both | the most accurate one |

    Where no speed was measured, a greater N counts as faster.

    Args:
        results: list of dicts with `num_mux`, `accuracy` and, for a floor of speed,
            `images_per_second`, one per N; or the path of a JSON file that holds such
            a list, by itself or as `per_num_mux`, as a training's `results.json` does.
        budget: dict, `"accuracy"` or `"images_per_second"`, or both -> the least that
            is acceptable.

    Returns:
        int, the chosen `num_mux`.

    Raises:
        ValueError: if no N meets the budget, or what it asks for was not measured.

    Example:
        >>> results = [
        ...     {"num_mux": 1, "accuracy": 0.96, "images_per_second": 19},
        ...     {"num_mux": 2, "accuracy": 0.95, "images_per_second": 25},
        ...     {"num_mux": 4, "accuracy": 0.91, "images_per_second": 40},
        ... ]
        >>> choose_num_mux(results, budget={"accuracy": 0.95})
        2
        >>> choose_num_mux(results, budget={"images_per_second": 30})
        4
    """
    if not isinstance(budget, dict) or not budget:
        raise ValueError(
            f"`budget` must be a dict with {ACCURACY!r} or {SPEED!r}, or both. "
            f"Received: budget={budget!r}"
        )
    for name in budget:
        one_of("budget key", name, (ACCURACY, SPEED))
    rows = _read(results)
    for name in {ACCURACY, *budget}:
        missing = [row["num_mux"] for row in rows if row.get(name) is None]
        if missing:
            raise ValueError(
                f"The results lack {name!r} for num_mux {missing}. Measure it and add "
                "it to these rows."
            )
    fitting = [
        row for row in rows if all(row[name] >= least for name, least in budget.items())
    ]
    if not fitting:
        best = ", ".join(_best(rows, name) for name in budget)
        raise ValueError(f"No N meets budget={budget!r}. The best on offer: {best}.")
    # Speeds compare with speeds only: all rows have one, or none counts.
    measured = all(row.get(SPEED) is not None for row in fitting)
    order = [SPEED if measured else "num_mux", ACCURACY]
    if SPEED in budget:
        order.reverse()
    return max(fitting, key=lambda row: [row[name] for name in order])["num_mux"]


def _read(results):
    if isinstance(results, str | pathlib.Path):
        content = json.loads(pathlib.Path(results).read_text())
        found = content.get("per_num_mux") if isinstance(content, dict) else content
    else:
        content = found = results
    if not found or not all("num_mux" in row for row in found):
        raise ValueError(
            "`results` must hold one dict with 'num_mux' per N, in a file by itself or "
            f"as 'per_num_mux'. Received: {str(content)[:200]}"
        )
    return found


def _best(rows, name):
    row = max(rows, key=lambda row: row[name])
    return f"{name} {row[name]:.4g} at num_mux {row['num_mux']}"
