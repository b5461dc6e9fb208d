"""Scores that should find odd images: groups, thresholds, ROC curves, and cases."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from cae_lessons.figures.style import COLORS, NARROW, STYLE, Picture, grid, png, svg

DOTS = ("o", "s", "^", "D", "v")


def score_groups(
    groups: Mapping[str, ArrayLike], xlabel: str, marks: Mapping[str, float] | None = None
) -> Picture:
    """Draw how the scores of groups of images are spread.

    Parameters
    ----------
    groups : dict of str to array_like
        Labels and scores, shape (n,), n different for each.
    xlabel : str
    marks : dict of str to float, optional
        Where to draw vertical lines, by their labels: thresholds.

    Returns
    -------
    Picture
        SVG; a histogram for each group, each of area 1.

    Examples
    --------
    >>> score_groups({"usual": [0.1, 0.2], "odd": [0.2, 0.3]}, "error", {"threshold": 0.25}).kind
    'svg'
    """
    scores = {label: np.asarray(values, float) for label, values in groups.items()}
    together = np.concatenate(list(scores.values()))
    # A few extreme images would squeeze all the others into a corner.
    bins = np.linspace(together.min(), np.quantile(together, 0.998), 32)
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 3.0), layout="constrained")
        axis = figure.subplots()
        for (label, values), color in zip(scores.items(), COLORS, strict=False):
            options = {"bins": bins, "density": True, "color": color}
            axis.hist(values, histtype="stepfilled", alpha=0.25, **options)
            axis.hist(values, histtype="step", label=label, linewidth=1.5, **options)
        for label, mark in (marks or {}).items():
            axis.axvline(mark, color="#444444", linestyle=":", linewidth=1.2)
            axis.annotate(label, (mark, 1), xycoords=("data", "axes fraction"), xytext=(4, -2),
                          textcoords="offset points", va="top", fontsize=10)  # fmt: skip
        axis.set(xlabel=xlabel, yticks=[], xlim=(bins[0], bins[-1]))
        axis.spines["left"].set_visible(False)
        figure.legend(fontsize=10, loc="outside upper left", ncols=2)
        return svg(figure)


def roc(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    points: Mapping[str, tuple[float, float]] | None = None,
) -> Picture:
    """Draw ROC curves: the hits over the false alarms, for every threshold.

    Parameters
    ----------
    curves : dict of str to tuple
        Labels, and for each the false alarms and the hits, as `scores.roc_curve` returns them.
    points : dict of str to tuple of float, optional
        Labels of single thresholds, and for each the false alarms and the hits there.

    Returns
    -------
    Picture
        SVG, with the line of scores that know nothing.

    Examples
    --------
    >>> roc({"a score": ([0, 0, 1], [0, 1, 1])}, {"a threshold": (0, 1)}).kind
    'svg'
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, NARROW), layout="constrained")
        axis = figure.subplots()
        for label, (false_alarms, hits) in curves.items():
            axis.plot(false_alarms, hits, label=label, clip_on=False)
        axis.plot([0, 1], [0, 1], ":", color="#666666", linewidth=1, label="guessing")
        for label, (x, y) in (points or {}).items():
            axis.plot(x, y, "o", color="black", ms=5, clip_on=False)
            axis.annotate(label, (x, y), xytext=(8, -4), textcoords="offset points", va="top",
                          fontsize=10)  # fmt: skip
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="false alarms", ylabel="hits")
        ticks = np.linspace(0, 1, 6)
        for each in (axis.xaxis, axis.yaxis):
            each.set_ticks(ticks, [f"{100 * tick:.0f} %" for tick in ticks])
        figure.legend(fontsize=10, loc="outside upper left", ncols=2)
        return svg(figure)


def areas(rows: Mapping[str, Mapping[str, ArrayLike]], title: str) -> Picture:
    """Draw the areas under ROC curves: a row for each kind of odd image, dots for each score.

    Parameters
    ----------
    rows : dict of str to dict
        Labels of rows, and for each the labels of its scores, the same in every row, with one
        area or several, from several runs.
    title : str
        What the labels of the rows are.

    Returns
    -------
    Picture
        SVG; each run has a dot of its own.  The line at ½ is a score that knows nothing.

    Examples
    --------
    >>> areas({"4": {"a net": [0.8, 0.9], "ink": 0.5}}, "left out").kind
    'svg'
    """
    labels = list(next(iter(rows.values())))
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 1.1 + 0.42 * len(rows)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(0.5, color="#666666", linestyle=":", linewidth=1)
        for y in np.arange(len(rows) - 1) + 0.5:
            axis.axhline(y, color="#eeeeee", linewidth=1, zorder=0)
        for index, label in enumerate(labels):
            aside = 0.66 * ((index + 0.5) / len(labels) - 0.5)
            dots = [(area, y + aside) for y, row in enumerate(rows.values())
                    for area in np.atleast_1d(row[label])]  # fmt: skip
            # Nets, which have several runs, are filled; what is computed exactly is hollow.
            several = any(np.size(row[label]) > 1 for row in rows.values())
            axis.plot(*np.transpose(dots), DOTS[index % len(DOTS)], ms=4 if several else 5,
                      color=COLORS[index % len(COLORS)], label=label,
                      alpha=0.7 if several else 1, mew=0 if several else 1.2,
                      fillstyle="full" if several else "none")  # fmt: skip
        axis.set(xlim=(0, 1), yticks=range(len(rows)), yticklabels=rows.keys())
        axis.set(xlabel="area under the ROC curve", ylabel=title)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.tick_params("y", length=0)
        figure.legend(fontsize=10, loc="outside upper left", ncols=2)
        return svg(figure)


def cases(
    columns: Mapping[str, Sequence[ArrayLike]], rows: Sequence[str], notes: Sequence[str] = ()
) -> Picture:
    """Draw images in titled columns and labelled rows: an image, and what nets make of it.

    Parameters
    ----------
    columns : dict of str to sequence of array_like
        Titles, and for each a picture per row, shape (height, width) or (height, width, 1).
        Values outside [0, 1] are clipped.
    rows : sequence of str
        Their labels.
    notes : sequence of str
        What stands below the columns, one for each.

    Returns
    -------
    Picture
        PNG.

    Examples
    --------
    >>> cases({"black": [np.zeros((28, 28))], "white": [np.ones((28, 28))]}, ["input"]).kind
    'png'
    """
    cell = NARROW / (len(columns) + 1.2)
    figure, axes = grid(len(rows), len(columns), cell=cell, label=0.06, width=NARROW)
    figure.set_figheight(figure.get_figheight() + 0.3 + 0.2 * bool(notes))
    for column, (title, images) in zip(axes.T, columns.items(), strict=True):
        for axis, image in zip(column, images, strict=True):
            picture = np.asarray(image).reshape(np.shape(image)[:2])
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
        column[0].set_title(title, fontsize=9)
    for axis, note in zip(axes[-1], notes, strict=False):
        axis.set_xlabel(note, fontsize=9)
    for axis, label in zip(axes[:, 0], rows, strict=True):
        axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=10)
    return png(figure)
