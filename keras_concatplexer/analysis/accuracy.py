"""An accuracy with what is known of its error."""

import dataclasses
import math

# Two-sided 95 % of a normal distribution.
Z_95 = 1.959964


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """A share of right answers and its Wilson interval.

    The interval takes the answers as independent. Answers on the same images in
    other groups are not quite: it is then too narrow for what other images would
    give.

    Attributes:
        accuracy: float.
        low, high: float. Ends of the 95 % interval.
        count: int. Answers.

    Example:

    >>> print(Accuracy.of([True] * 9 + [False]))
    90.0 % (59.6 to 98.2, n = 10)
    """

    accuracy: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, right):
        """Returns the `Accuracy` of a bool per answer, or `None` without any."""
        count = len(right)
        if not count:
            return None
        share = sum(map(int, right)) / count
        weight = Z_95**2 / count
        center = (share + weight / 2) / (1 + weight)
        half = math.sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
        # Rounding must not put the share itself outside.
        low, high = min(share, center - half), max(share, center + half)
        return cls(share, max(0.0, low), min(1.0, high), count)

    def __str__(self):
        shares = (
            f"{100 * share:.1f}" for share in (self.accuracy, self.low, self.high)
        )
        return "{} % ({} to {}, n = {})".format(*shares, self.count)
