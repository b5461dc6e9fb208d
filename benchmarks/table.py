"""Numbers as text."""


def table(head, rows):
    """Return rows under a head, the first column to the left, the others to the right.

    Examples
    --------
    >>> print(table(["net", "ms"], [["strided", "7.1"]]))
    net       ms
    strided  7.1
    """
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def milliseconds(numbers):
    """Return a summary of seconds as text: the median, and the range in brackets.

    Examples
    --------
    >>> milliseconds({"median": 0.0123, "min": 0.01, "max": 0.2})
    '12.3 ms (10.0–200.0)'
    """
    median, least, largest = (numbers[key] * 1000 for key in ("median", "min", "max"))
    return f"{median:.1f} ms ({least:.1f}–{largest:.1f})"


def ratio(numbers):
    """Return a summary of ratios as text.

    Examples
    --------
    >>> ratio({"median": 1.5, "min": 1.25, "max": 2})
    '1.50 × (1.25–2.00)'
    """
    return f"{numbers['median']:.2f} × ({numbers['min']:.2f}–{numbers['max']:.2f})"
