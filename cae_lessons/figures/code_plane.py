"""Codes of two numbers as a map, and what codes of every size are good for."""

import io
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

from cae_lessons.figures.style import COLORS, NARROW, STYLE, Picture, grid, png, svg

BLANK = 0.75  # the grey of a place without a picture


def code_plane(codes: ArrayLike, labels: ArrayLike, columns: int = 5) -> Picture:
    """Draw the plane of codes of two numbers, once for each label.

    Parameters
    ----------
    codes : array_like
        Shape (n, 2).
    labels : array_like
        Whole numbers, shape (n,).
    columns : int
        Planes in a row.

    Returns
    -------
    Picture
        PNG; in each plane the codes with its label are blue, all others grey.

    Raises
    ------
    ValueError
        `codes` hasn't two numbers for each label.

    Examples
    --------
    >>> code_plane([[0, 0], [1, 1], [2, 0]], [3, 3, 8]).kind
    'png'
    """
    codes, labels = np.asarray(codes, float), np.asarray(labels)
    if codes.shape != (labels.size, 2):
        raise ValueError(
            f"codes must have shape ({labels.size}, 2), two numbers for each label, got "
            f"{codes.shape}"
        )
    found = np.unique(labels)
    rows = -(-len(found) // columns)
    figure, axes = grid(rows, columns, cell=NARROW / columns, label=0.2, width=NARROW)
    for axis in axes.flat[len(found) :]:
        axis.set_axis_off()
    for axis, label in zip(axes.flat, found, strict=False):
        own = labels == label
        axis.plot(*codes[~own].T, "o", ms=1.2, color="#cccccc", mew=0)
        axis.plot(*codes[own].T, "o", ms=1.8, color=COLORS[0], mew=0)
        axis.set_title(label, pad=3)
        axis.margins(0.03)
    return _in_few_colors(png(figure))


def mosaic(
    pictures: ArrayLike,
    extent: Sequence[float] | None = None,
    tinted: ArrayLike | None = None,
) -> Picture:
    """Draw small pictures edge to edge, each at the place in the plane that it belongs to.

    Parameters
    ----------
    pictures : array_like
        Shape (rows, columns, height, width) or (rows, columns, height, width, 1), the first row
        on top.  Values outside [0, 1] are clipped; a picture of NaN leaves its place blank.
    extent : sequence of float, optional
        The plane's left, right, lower and upper end: the two numbers of a code at the edges.
    tinted : array_like of bool, optional
        Shape (rows, columns): which pictures to tint.

    Returns
    -------
    Picture
        PNG.

    Examples
    --------
    >>> mosaic(np.zeros((2, 3, 28, 28)), extent=(-1, 1, 0, 1)).kind
    'png'
    """
    pictures = np.asarray(pictures, float)
    rows, columns, height, width = pictures.shape[:4]
    pictures = pictures.reshape(rows, columns, height, width)
    pictures = np.where(np.isnan(pictures), BLANK, np.clip(pictures, 0, 1))
    shown = np.repeat(pictures[..., None], 3, axis=-1)
    if tinted is not None:
        shown[np.asarray(tinted, bool)] *= 0.6
        shown[np.asarray(tinted, bool)] += 0.4 * np.array(to_rgb(COLORS[4]))
    whole = shown.swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, NARROW * rows / columns), layout="constrained")
        axis = figure.subplots()
        axis.imshow(whole, extent=extent, aspect="auto", interpolation="antialiased")
        axis.spines[:].set_visible(False)
        if extent is None:
            axis.set(xticks=[], yticks=[])
        else:
            axis.set(xlabel="first number of the code", ylabel="second number")
        return _in_few_colors(png(figure))


def accuracies(
    nets: Mapping[int, ArrayLike],
    components: Mapping[int, float],
    pixels: float,
    ylabel: str,
    worst: float = 0.1,
) -> Picture:
    """Draw how often a label is found from codes of several sizes.

    Parameters
    ----------
    nets : dict of int to array_like
        By the code's size, the shares that are right, one for each seed.
    components : dict of int to float
        The same of as many principal components.
    pixels : float
        The same of the pixels themselves.
    ylabel : str
        What the shares are of.
    worst : float
        Where the axis begins: the share that guessing gets.

    Returns
    -------
    Picture
        SVG; a dot for each net, a line through their medians, a line for the components, and one
        for the pixels, in percent.

    Examples
    --------
    >>> accuracies({1: [0.3, 0.4], 2: [0.5, 0.6]}, {1: 0.3, 2: 0.4}, 0.9, "right (%)").kind
    'svg'
    """
    sizes = sorted({*nets, *components})
    place = {size: number for number, size in enumerate(sizes)}
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 3.4), layout="constrained")
        axis = figure.subplots()
        axis.axhline(100 * pixels, color="#666666", linestyle=":", linewidth=1.2, label="pixels")
        x = [place[size] for size in sorted(components)]
        axis.plot(x, [100 * components[size] for size in sorted(components)], "s--", ms=4,
                  color=COLORS[1], label="principal components")  # fmt: skip
        shares = {size: 100 * np.asarray(nets[size], float) for size in sorted(nets)}
        axis.plot([place[size] for size in shares], [np.median(s) for s in shares.values()],
                  color=COLORS[0], label="nets")  # fmt: skip
        for size, share in shares.items():
            axis.plot([place[size]] * len(share), share, "o", ms=4, color=COLORS[0], alpha=0.5,
                      mew=0)  # fmt: skip
        axis.set_xticks(range(len(sizes)), [str(size) for size in sizes])
        axis.set(xlabel="numbers in the code", ylabel=ylabel, ylim=(100 * worst, 102))
        figure.legend(fontsize=10, loc="outside upper left", ncols=3)
        return svg(figure)


def _in_few_colors(picture):
    """Return a PNG with 64 colours: hundreds of small pictures would make the page heavy."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(picture.data)).convert("RGB").quantize(64).save(
        stream, "png", optimize=True
    )
    return Picture(stream.getvalue(), "png")
