"""Numbers in cells."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from cae_lessons.figures.style import NARROW, STYLE, WIDTH, Picture, svg

if TYPE_CHECKING:
    import pandas

MOST = 5.8  # inches of arrays side by side: on a phone their numbers have 9 pixels


def arrays(
    named: Mapping[str, ArrayLike],
    highlight: Mapping[str, ArrayLike] | None = None,
    signs: Sequence[str] = (),
) -> Picture:
    """Draw small arrays with their numbers in the cells, side by side.

    Parameters
    ----------
    named : dict of str to array_like
        Titles and arrays of shape (height, width).
    highlight : dict of str to array_like of bool, optional
        For some of the titles, the cells to tint.
    signs : sequence of str
        What stands between the arrays: `("∗", "=")` for an operation on two and its result.

    Returns
    -------
    Picture
        SVG.

    Examples
    --------
    >>> arrays({"x": [[1, 2], [3, 4]]}).kind
    'svg'
    """
    shown = {title: np.asarray(array) for title, array in named.items()}
    tinted = {title: np.asarray(cells, bool) for title, cells in (highlight or {}).items()}
    with matplotlib.rc_context(STYLE):
        return svg(arrays_figure(shown, tinted, signs))


def phases(losses: ArrayLike) -> Picture:
    """Draw the share of the loss that each output phase contributes.

    Parameters
    ----------
    losses : array_like
        Shape (period, period), as `diagnosis.phase_losses` gives them.

    Returns
    -------
    Picture
        SVG; a table of numbers, the darker the larger.

    Examples
    --------
    >>> phases(np.full((4, 4), 0.007)).kind
    'svg'
    """
    array = np.asarray(losses)
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH * 0.6, WIDTH * 0.5), layout="constrained")
        axis = figure.subplots()
        axis.spines[:].set_visible(False)
        axis.imshow(array, cmap="Oranges", vmin=0, vmax=max(array.max(), 1e-9))
        for (i, j), loss in np.ndenumerate(array):
            color = "white" if loss > 0.7 * array.max() else "black"
            axis.text(j, i, f"{loss:.4f}", ha="center", va="center", fontsize=10, color=color)
        ticks = range(len(array))
        axis.set(xticks=ticks, yticks=ticks)
        axis.set(xlabel=f"x mod {len(array)}", ylabel=f"y mod {len(array)}")
        return svg(figure)


def matrix(array: ArrayLike, rows: str, columns: str) -> Picture:
    """Draw a matrix as coloured cells, zeros white.

    Parameters
    ----------
    array : array_like
        Shape (height, width).
    rows, columns : str
        What the rows and the columns stand for.

    Returns
    -------
    Picture
        SVG.

    Examples
    --------
    >>> matrix(np.eye(3), "output", "input").kind
    'svg'
    """
    cells = np.asarray(array, float)
    with matplotlib.rc_context(STYLE):
        height = min(WIDTH * cells.shape[0] / cells.shape[1], WIDTH) + 0.7
        figure = Figure((WIDTH * 0.9, height), layout="constrained")
        axis = figure.subplots()
        limit = 2 * np.abs(cells).max()  # pale colours: the numbers stay readable
        fits = cells.shape[1] <= 16 and all(len(f"{value:g}") <= 2 for value in cells.flat)
        axis.imshow(np.where(cells, cells, np.nan), cmap="RdBu", vmin=-limit, vmax=limit)
        for (i, j), value in np.ndenumerate(cells):
            if value:
                axis.text(j, i, f"{value:g}", ha="center", va="center", fontsize=11 if fits else 9)
        axis.set(xlabel=columns, ylabel=rows, xticks=[], yticks=[])
        return svg(figure)


def survival(named: "Mapping[str, pandas.DataFrame]", runs: int) -> Picture:
    """Draw how many runs train, over learning rates and the widths of the first weights.

    Parameters
    ----------
    named : dict of str to pandas.DataFrame
        Titles and tables: the index the standard deviations, the columns the learning rates, the
        values the share of runs that trained, from 0 to 1.
    runs : int
        How many runs each share is of.

    Returns
    -------
    Picture
        SVG; a table of counts for each title, the bluer the more.

    Examples
    --------
    >>> import pandas as pd
    >>> survival({"a net": pd.DataFrame({0.01: [0.5], 0.001: [1.0]}, index=[0.1])}, runs=8).kind
    'svg'
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 2.6), layout="constrained")
        for axis, (title, table) in zip(
            figure.subplots(1, len(named), sharey=True, squeeze=False)[0],
            named.items(),
            strict=True,
        ):
            # Not square: for squares the layout reserves too little room, and cuts the titles off.
            axis.imshow(table.values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
            for (i, j), share in np.ndenumerate(table.values):
                color = "white" if share > 0.6 else "black"
                text = f"{runs * share:.0f}/{runs}"
                axis.text(j, i, text, ha="center", va="center", color=color)
            axis.set(xticks=range(table.shape[1]), yticks=range(table.shape[0]))
            axis.set(xticklabels=table.columns, yticklabels=table.index)
            axis.set(title=title, xlabel="learning rate")
            axis.spines[:].set_visible(False)
        figure.axes[0].set_ylabel("standard deviation")
        return svg(figure)


def arrays_figure(named, highlight, signs=(), below=None):
    """Draw all arrays in one coordinate system, so that their cells have one size.

    The arrays of a second row, `below`, stand in the columns of the first.
    """
    rows = [named, below] if below else [named]
    columns = [
        max(a.shape[1] for a in column) for column in zip(*map(dict.values, rows), strict=True)
    ]
    starts = np.cumsum([0, *(column + 1 for column in columns)])
    width = starts[-1] - 1
    heights = [max(array.shape[0] for array in row.values()) + 1 for row in rows]
    height = sum(heights)
    cell = min(0.5, MOST / width)
    figure = Figure((cell * width + 0.1, cell * height + 0.1))
    axis = figure.add_axes((0, 0, 1, 1))
    for row, top in zip(rows, np.cumsum([0, *heights]), strict=False):
        for (title, array), column, start in zip(row.items(), columns, starts, strict=False):
            axis.text(start + column / 2, top - 0.5, title, ha="center", va="center")
            left = start + (column - array.shape[1]) / 2
            tinted = highlight.get(title, np.zeros(array.shape, bool))
            _draw_cells(axis, array, left, top, tinted)
    middle = min(array.shape[0] for array in named.values()) / 2
    for sign, gap in zip(signs, starts[1:] - 0.5, strict=False):
        axis.text(gap, middle, sign, ha="center", va="center", fontsize=15)
    margin = 0.05 / cell
    axis.set(xlim=(-margin, width + margin), ylim=(height - 1 + margin, -1 - margin))
    axis.set_axis_off()
    return figure


def _draw_cells(axis, array, left, top, tinted):
    for (i, j), value in np.ndenumerate(array):
        color = "#fde3c8" if tinted[i, j] else "white"
        axis.add_patch(Rectangle((left + j, top + i), 1, 1, facecolor=color, edgecolor="#888888"))
        axis.text(left + j + 0.5, top + i + 0.5, f"{value:.3g}", ha="center", va="center")
