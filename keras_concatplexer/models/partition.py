"""Which images of a training batch go to which N of an elastic model."""

from keras import ops

# Shares are counted in thousandths, so that bounds are integers on every backend.
UNIT = 1000


def checked_shares(weights, num_mux):
    """Returns the weights of each N as a tuple of floats that sum to 1.

    Args:
        weights: sequence of positive numbers, one per N, or `None` for equal ones.
        num_mux: tuple of ints.

    Raises:
        ValueError: if there are other weights, or a share is below a thousandth.
    """
    if weights is None:
        weights = [1] * len(num_mux)
    if (
        not isinstance(weights, (tuple, list))
        or len(weights) != len(num_mux)
        or not all(isinstance(weight, (int, float)) for weight in weights)
        or min(weights) <= 0
        or min(weights) * UNIT < sum(weights)
    ):
        raise ValueError(
            f"`num_mux_weights` must be {len(num_mux)} positive numbers, one per N, "
            "none below a thousandth of their sum. Received: num_mux_weights="
            f"{weights!r}, num_mux={num_mux}"
        )
    return tuple(weight / sum(weights) for weight in weights)


def part_bounds(batch_size, num_mux, shares):
    """Cuts a batch into one part per N, in the order of `num_mux`.

    A part holds whole groups, as many as come nearest to its share; the smallest N
    gets what is left. A part without images of its own still gets a row to compute,
    one that is another part's: a convolution has no gradient on an empty batch.

    Args:
        batch_size: int, or an integer tensor where it is not known beforehand.
        num_mux: tuple of different ints.
        shares: tuple of floats that sum to 1.

    Returns:
        List of `(start, stop, num_rows)` per N: compute the images from `start` to
        `stop`, at least one, and keep the first `num_rows` of the answers.
    """
    is_known = isinstance(batch_size, int)
    minimum, maximum = (min, max) if is_known else (ops.minimum, ops.maximum)
    left, sizes = batch_size, {}
    largest_first = sorted(zip(num_mux, shares, strict=True), reverse=True)
    for n, share in largest_first[:-1]:
        nearest = (batch_size * round(share * UNIT) + n * UNIT // 2) // (n * UNIT)
        sizes[n] = n * minimum(nearest, left // n)
        left -= sizes[n]
    sizes[min(num_mux)] = left
    bounds, start = [], 0
    for n in num_mux:
        first = minimum(start, batch_size - 1)
        stop = maximum(start + sizes[n], first + 1)
        bounds.append((first, stop, sizes[n]))
        start = start + sizes[n]
    return bounds
