"""Runs and batches, a dot for each."""

from collections.abc import Hashable, Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from cae_lessons.figures.style import COLORS, NARROW, STYLE, Picture, svg

DOT = 4.2  # points from one dot to the next
LABEL, LINE = 18, 12  # points: half the width of a label, and its height
ABOVE, BELOW, SIDE = 0.3, 0.55, 0.1  # inches around the rows


def strip(
    rows: Mapping[str, Mapping[Hashable, float]],
    xlabel: str,
    marks: Mapping[str, float] | None = None,
    named: Mapping[Hashable, str] | None = None,
) -> Picture:
    """Draw groups of numbers as dots, stacked where they would cover each other.

    Parameters
    ----------
    rows : dict of str to dict
        For each group its title, and its numbers by their keys: the losses of runs by seed, for
        example.
    xlabel : str
        What the numbers are.
    marks : dict of str to float, optional
        Where to draw vertical lines, by their labels.
    named : dict, optional
        Labels of the dots that the story is about, by their keys; the others are grey.

    Returns
    -------
    Picture
        SVG.  Within a stack the numbers differ by less than a dot's width.

    Examples
    --------
    >>> strip({"8 seeds": {0: 0.02, 1: 0.02, 2: 0.11}}, "loss", {"black": 0.114}).kind
    'svg'
    """
    rows = {title: dict(row) for title, row in rows.items()}  # a Series is a mapping, nearly
    marks, named = dict(marks or {}), dict(named or {})
    values = [*(v for row in rows.values() for v in row.values()), *marks.values()]
    margin = 0.05 * (max(values) - min(values))
    left, right = min(values) - margin, max(values) + margin
    unit = (right - left) / (72 * (NARROW - 2 * SIDE))  # what a point is on the axis
    stacks = {title: _stack(row, DOT * unit) for title, row in rows.items()}
    heights = [_height(stack) for stack in stacks.values()]
    height = sum(heights) / 72 + ABOVE + BELOW
    colors = dict(zip(named, COLORS, strict=False))
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, height))
        axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=heights)
        figure.subplots_adjust(
            SIDE / NARROW, BELOW / height, 1 - SIDE / NARROW, 1 - ABOVE / height, hspace=0
        )
        for axis, (title, stack), points in zip(axes[:, 0], stacks.items(), heights, strict=True):
            for mark in marks.values():
                axis.axvline(mark, color="#666666", linestyle=":", linewidth=1, zorder=0)
            _draw_row(axis, title, stack, colors)
            _write_labels(axis, stack, {k: v for k, v in named.items() if k in stack}, colors, unit)
            axis.set(ylim=(-DOT, points - DOT), xlim=(left, right), yticks=[])
        for label, mark in marks.items():
            axes[0, 0].annotate(label, (mark, 1), xycoords=("data", "axes fraction"),
                                xytext=(0, 3), textcoords="offset points", ha="center",
                                va="bottom", fontsize=10)  # fmt: skip
        axes[-1, 0].set_xlabel(xlabel)
        return svg(figure)


def diagonal(x: ArrayLike, y: ArrayLike, xlabel: str, ylabel: str) -> Picture:
    """Draw pairs of numbers as dots, with the line where the two are equal.

    Parameters
    ----------
    x, y : array_like
        Shape (n,).
    xlabel, ylabel : str

    Returns
    -------
    Picture
        SVG; both axes are linear, with one scale.

    Examples
    --------
    >>> diagonal([0.08, 0.09], [0.081, 0.092], "floor", "loss").kind
    'svg'
    """
    ends = np.array([np.min([x, y]), np.max([x, y])])
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, NARROW), layout="constrained")
        axis = figure.subplots()
        axis.plot(ends, ends, color="#666666", linewidth=1)
        axis.text(*ends[[1, 1]], "equal ", ha="right", va="bottom", fontsize=10, color="#444444")
        axis.plot(x, y, "o", ms=3.5, color=COLORS[0], alpha=0.5, mew=0)
        axis.set(xlabel=xlabel, ylabel=ylabel, aspect="equal")
        return svg(figure)


def _stack(row, width):
    """Return for each key where its dot stands: its number, and how many dots lie below."""
    placed = {}
    for key, value in sorted(row.items(), key=lambda item: item[1]):
        taken = {level for x, level in placed.values() if abs(x - value) < width}
        level = next(level for level in range(len(placed) + 1) if level not in taken)
        placed[key] = value, level
    return placed


def _height(stack):
    return DOT * max((level for _, level in stack.values()), default=0) + 4 * LINE


def _draw_row(axis, title, stack, colors):
    for key, (x, level) in stack.items():
        color = colors.get(key, "#999999")
        axis.plot(x, level * DOT, "o", ms=DOT, color=color, mec="white", mew=0.3)
    axis.spines["left"].set_visible(False)
    axis.text(1, 0.98, title, transform=axis.transAxes, ha="right", va="top", fontsize=10,
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip


def _write_labels(axis, stack, named, colors, unit):
    """Write each label above the dots and the labels that stand near its own dot."""
    tops = [(x, level * DOT) for x, level in stack.values()]
    for key, label in sorted(named.items(), key=lambda item: stack[item[0]]):
        x, _ = stack[key]
        y = max(top for there, top in tops if abs(there - x) <= LABEL * unit) + DOT
        axis.text(x, y, label, ha="center", va="bottom", fontsize=10, color=colors[key],
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0})  # fmt: skip
        tops += [(x - LABEL * unit, y + LINE), (x + LABEL * unit, y + LINE)]
