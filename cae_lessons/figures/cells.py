"""Arrays as cells that are the darker the larger their numbers."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from cae_lessons.figures.style import COLORS, NARROW, STYLE, Picture, svg

LARGEST_CELL, TITLE = 0.45, 0.3  # inches


def tinted(
    named: Mapping[str, ArrayLike],
    boxes: Mapping[str, Sequence[tuple[int, int, int, int]]] | None = None,
    dots: Mapping[str, ArrayLike] | None = None,
    block: int = 0,
    numbers: bool = True,
) -> Picture:
    """Draw small arrays side by side: the larger a number, the darker its cell.

    Parameters
    ----------
    named : dict of str to array_like
        Titles, and arrays of shape (height, width) whose numbers aren't negative.
    boxes : dict of str to list of tuple, optional
        For some of the titles, boxes to outline: first row, first column, height, width.
    dots : dict of str to array_like of bool, optional
        For some of the titles, the cells that get a dot; of the array's shape.
    block : int
        Draw heavier lines around blocks of so many rows and columns; 0 for none.
    numbers : bool
        Whether the numbers stand in the cells; zeros never do.

    Returns
    -------
    Picture
        SVG; all arrays share one scale of tints.

    Examples
    --------
    >>> tinted({"x": [[1, 2], [3, 4]]}, boxes={"x": [(0, 0, 1, 2)]}).kind
    'svg'
    """
    arrays = {title: np.asarray(array, float) for title, array in named.items()}
    width = sum(array.shape[1] + 1 for array in arrays.values()) - 1
    height = max(array.shape[0] for array in arrays.values())
    cell = min(LARGEST_CELL, NARROW / width)
    margin = 0.05
    with matplotlib.rc_context(STYLE):
        figure = Figure((cell * width + 2 * margin, cell * height + TITLE + 2 * margin))
        axis = figure.add_axes((0, 0, 1, 1))
        edge, top = margin / cell, (margin + TITLE) / cell
        axis.set(xlim=(-edge, width + edge), ylim=(height + edge, -top))
        axis.set_axis_off()
        darkest = max(1e-9, *(array.max() for array in arrays.values()))
        left = 0
        for title, array in arrays.items():
            _draw_tints(axis, array / darkest, left)
            if numbers:
                _write_numbers(axis, array, array / darkest, left)
            if block:
                _draw_blocks(axis, array.shape, left, block)
            for i, j in np.argwhere(np.asarray((dots or {}).get(title, []))):
                axis.plot(left + j + 0.5, i + 0.5, "o", color=COLORS[1], ms=cell * 72 * 0.45)
            for i, j, rows, columns in (boxes or {}).get(title, ()):
                _draw_box(axis, left + j, i, columns, rows)
            middle = left + array.shape[1] / 2
            axis.text(middle, -TITLE / 2 / cell, title, ha="center", va="center")
            left += array.shape[1] + 1
        return svg(figure)


def _draw_tints(axis, shares, left):
    blue = np.array(matplotlib.colors.to_rgb(COLORS[0]))
    for (i, j), share in np.ndenumerate(shares):
        color = 1 - share * (1 - blue)
        axis.add_patch(
            Rectangle((left + j, i), 1, 1, facecolor=color, edgecolor="#bbbbbb", linewidth=0.6)
        )


def _write_numbers(axis, array, shares, left):
    for (i, j), value in np.ndenumerate(array):
        if value:
            color = "white" if shares[i, j] > 0.6 else "black"
            axis.text(left + j + 0.5, i + 0.5, f"{value:.3g}", ha="center", va="center",
                      color=color)  # fmt: skip


def _draw_blocks(axis, shape, left, block):
    for i in range(0, shape[0], block):
        for j in range(0, shape[1], block):
            size = min(block, shape[1] - j), min(block, shape[0] - i)
            axis.add_patch(
                Rectangle((left + j, i), *size, fill=False, edgecolor="#666666", linewidth=1.2)
            )


def _draw_box(axis, x, y, width, height):
    axis.add_patch(
        Rectangle((x, y), width, height, fill=False, edgecolor=COLORS[1], linewidth=2.5, zorder=3)
    )
