"""Checks of the arguments that several layers and models share."""


def positive_int(name, value):
    """Returns `value` if it is an integer >= 1, else raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={value!r}"
        )
    return value


def int_pair(name, value):
    """Returns `value`, two integers >= 1 (or one for both), as a tuple."""
    if isinstance(value, int):
        value = (value, value)
    try:
        first, second = value
        return positive_int(name, first), positive_int(name, second)
    except (TypeError, ValueError):
        raise ValueError(
            f"`{name}` must be a positive integer or a pair (rows, columns) of "
            f"them. Received: {name}={value!r}"
        ) from None


def share(name, value):
    """Returns `value` if it is a number from 0 to 1, else raises `ValueError`."""
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(
            f"`{name}` must be a number from 0 to 1. Received: {name}={value!r}"
        )
    return value


def one_of(name, value, choices):
    """Returns `value` if it is among `choices`, else raises `ValueError`."""
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, choices))}. "
            f"Received: {name}={value!r}"
        )
    return value
