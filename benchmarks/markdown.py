"""Markdown tables."""

MISSING = "–"


def table(columns, lines):
    """Returns a table; what is `None` shows as a dash.

    Args:
        columns: list of str; all but the first are aligned to the right.
        lines: list of lists of str or `None`, as long as `columns`.
    """
    rule = [":---", *["---:"] * (len(columns) - 1)]
    rows = [columns, rule, *lines]
    return "\n".join(
        "| " + " | ".join(MISSING if cell is None else cell for cell in row) + " |"
        for row in rows
    )


def number(value, digits):
    """Returns a number as text, or `None` for `None`."""
    return None if value is None else f"{value:,.{digits}f}"
