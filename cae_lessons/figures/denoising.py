"""What is left of the noise: nets beside what needs no net."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from cae_lessons.figures.style import COLORS, NARROW, STYLE, Picture, svg, write_decimals

LEVEL = 13  # points from one line of labels to the next
SPREAD = 0.3  # how far the dots of a row stand above and below its middle, in rows


def against_baselines(
    rows: Mapping[str, ArrayLike],
    baselines: Mapping[str, float],
    floors: Mapping[str, float] | None = None,
    xlabel: str = "mean squared error",
) -> Picture:
    """Draw the losses of several runs per row, and the baselines that cross all rows.

    Parameters
    ----------
    rows : dict of str to array_like
        Labels, and the losses of the runs, positive, shape (n,).
    baselines : dict of str to float
        Labels and losses: the dotted lines.
    floors : dict of str to float, optional
        For some of the rows, the loss that they can't beat: a bar.
    xlabel : str
        What the losses are.

    Returns
    -------
    Picture
        SVG; logarithmic.  The runs of a row stand above each other, in their order.

    Raises
    ------
    ValueError
        There are no rows, or a row is empty.

    Examples
    --------
    >>> against_baselines({"a net": [0.02, 0.03]}, {"do nothing": 0.08}).kind
    'svg'
    """
    losses = {label: np.asarray(row, float) for label, row in rows.items()}
    if not losses or not all(row.size for row in losses.values()):
        raise ValueError("rows must hold at least one row, and each row one loss")
    ordered = sorted(baselines, key=baselines.__getitem__)
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 1.2 + 0.42 * len(losses)), layout="constrained")
        axis = figure.subplots()
        for number, label in enumerate(ordered):
            axis.axvline(baselines[label], color="#666666", linestyle=":", linewidth=1, zorder=0)
            # Neighbours may be near: their labels take turns on two lines.
            axis.annotate(label, (baselines[label], 1), xycoords=("data", "axes fraction"),
                          xytext=(0, 3 + LEVEL * (number % 2)), textcoords="offset points",
                          ha="center", va="bottom", fontsize=10)  # fmt: skip
        for place, (label, row) in enumerate(losses.items()):
            aside = np.linspace(-SPREAD, SPREAD, len(row)) if len(row) > 1 else 0
            axis.plot(row, place + aside, "o", color=COLORS[0], ms=3.5, mec="white", mew=0.3)
            if label in (floors or {}):
                bar = [floors[label]] * 2
                axis.plot(bar, [place - 0.45, place + 0.45], color="black", linewidth=2)
        axis.set(xscale="log", xlabel=xlabel, yticks=range(len(losses)), yticklabels=losses.keys())
        axis.set_ylim(len(losses) - 0.45, -0.55)
        write_decimals(axis.xaxis)
        return svg(figure)
