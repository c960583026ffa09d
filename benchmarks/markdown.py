"""Markdown: tables, numbers and lines of settings."""

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


def percent(share, digits=1):
    """Returns a share as a number in percent, or `None` for `None`."""
    return None if share is None else f"{100 * share:.{digits}f}"


def settings_line(title, values):
    """Returns `title: name value; name value.`, of a flat dict."""
    parts = (
        f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in values.items()
    )
    return f"{title}: {'; '.join(parts)}."
