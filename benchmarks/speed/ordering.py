"""Whether two measurements put the same rows in the same order."""

import itertools

from benchmarks.speed.ratios import images_per_second


def compare_order(entries, reference, batch_size):
    """Compares the order of the rows that both measurements have.

    Two rows tie in a measurement if they are closer than their rounds were spread.
    A tie agrees with any order.

    Args:
        entries: dict, row name -> entry, see `results.py`.
        reference: the same, of the measurement to compare with.
        batch_size: int.

    Returns:
        Pair of lists of pairs of names, the faster one of `reference` first: those
        that come in the other order, and those that tie in either measurement.
    """
    both = [
        name
        for name in reference
        if name in entries
        and images_per_second(entries[name], batch_size)
        and images_per_second(reference[name], batch_size)
    ]
    both.sort(key=lambda name: -images_per_second(reference[name], batch_size))
    wrong, ties = [], []
    for pair in itertools.combinations(both, 2):
        orders = [_order(taken, pair, batch_size) for taken in (reference, entries)]
        if 0 in orders:
            ties.append(pair)
        elif orders[0] != orders[1]:
            wrong.append(pair)
    return wrong, ties


def _order(entries, pair, batch_size):
    """1 if the first of the pair is faster, -1 if the second, 0 if they tie."""
    first, second = (entries[name]["batches"][str(batch_size)] for name in pair)
    ratio = first["images_per_second"] / second["images_per_second"]
    noise = 1 + first.get("spread", 0.0) + second.get("spread", 0.0)
    return (ratio > noise) - (1 / ratio > noise)
