"""The Pareto front: what nothing else is better than in every respect."""


def front(points):
    """Finds the points that no other dominates.

    A point dominates another if it is at least as good in both respects and better
    in one.

    Args:
        points: dict, name -> pair of numbers, of which higher is better.

    Returns:
        List of names, by rising first number.
    """
    kept = [
        name
        for name, (first, second) in points.items()
        if not any(
            other[0] >= first and other[1] >= second and other != (first, second)
            for other in points.values()
        )
    ]
    return sorted(kept, key=points.get)
