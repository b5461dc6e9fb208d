"""Images in rows, side by side, and with some pixels tinted."""

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import ArrayLike

from cae_lessons.figures.style import COLORS, NARROW, STYLE, WIDE_FONT, WIDTH, Picture, grid, png


def digits(rows: Mapping[str, ArrayLike]) -> Picture:
    """Draw images in labelled rows.

    Parameters
    ----------
    rows : dict of str to array_like
        A label and its images, shape (n, height, width, 1), grey, or (n, height, width, 3), red,
        green and blue; n the same for all.  Values outside [0, 1] are clipped.

    Returns
    -------
    Picture
        PNG.

    Raises
    ------
    ValueError
        `rows` isn't a dict, its rows hold different numbers of images, or an image has neither
        1 nor 3 channels.

    Examples
    --------
    >>> digits({"black": np.zeros((3, 28, 28, 1))}).kind
    'png'
    """
    if not isinstance(rows, Mapping):
        raise ValueError(f"rows are a {type(rows).__name__}, must be a dict of label to images")
    arrays = {label: np.asarray(images) for label, images in rows.items()}
    columns = max((len(images) for images in arrays.values()), default=0)
    if any(len(images) != columns for images in arrays.values()) or not columns:
        counts = ", ".join(f"{label}: {len(images)}" for label, images in arrays.items())
        raise ValueError(f"rows must hold equal numbers of images, one or more, got {{{counts}}}")
    figure, axes = grid(len(arrays), columns, cell=WIDTH / (columns + 1.5))
    for row, (label, images) in zip(axes, arrays.items(), strict=True):
        for axis, image in zip(row, images, strict=True):
            _draw(axis, np.clip(image, 0, 1))
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=WIDE_FONT)
    return png(figure)


def pictures(named: Mapping[str, ArrayLike], columns: int | None = None) -> Picture:
    """Draw pictures side by side, each under its title.

    Parameters
    ----------
    named : dict of str to array_like
        Titles and pictures of shape (height, width), (height, width, 1) or (height, width, 3).
        Values outside [0, 1] are clipped.
    columns : int, optional
        Pictures in a row; by default all are in one.

    Returns
    -------
    Picture
        PNG.

    Raises
    ------
    ValueError
        A picture is of another shape.

    Examples
    --------
    >>> pictures({"black": np.zeros((6, 6)), "white": np.ones((6, 6))}).kind
    'png'
    """
    columns = columns or len(named)
    width = WIDTH if columns == len(named) else NARROW  # a grid's titles stay large on a phone
    font = WIDE_FONT if width == WIDTH else STYLE["font.size"]
    rows = -(-len(named) // columns)
    figure, axes = grid(rows, columns, cell=width / max(columns, 3), label=0.25, width=width)
    for axis in axes.flat[len(named) :]:
        axis.set_axis_off()
    for axis, (title, picture) in zip(axes.flat, named.items(), strict=False):
        _draw(axis, np.asarray(picture))
        axis.set_title(title, fontsize=font)
    return png(figure)


def feature_maps(
    maps: ArrayLike,
    dead: ArrayLike | None = None,
    columns: int = 8,
    one_scale: bool = True,
) -> Picture:
    """Draw the maps of one layer for one image, the dead ones crossed out.

    Parameters
    ----------
    maps : array_like
        Shape (height, width, channels).
    dead : array_like of bool, optional
        Shape (channels,).
    columns : int
        Maps in a row.
    one_scale : bool
        Whether all maps share one grey scale, from 0 to the highest value.  Without it each map
        has its own, so that only a map of zeros is black.

    Returns
    -------
    Picture
        PNG.

    Examples
    --------
    >>> feature_maps(np.ones((7, 7, 16))).kind
    'png'
    """
    maps = np.moveaxis(np.asarray(maps), -1, 0)
    dead = np.zeros(len(maps), bool) if dead is None else np.asarray(dead)
    rows, cell = -(-len(maps) // columns), NARROW / columns
    figure, axes = grid(rows, columns, cell=cell, label=0.2, width=NARROW)
    for axis in axes.flat[len(maps) :]:
        axis.set_axis_off()
    for channel, (axis, plane) in enumerate(zip(axes.flat, maps, strict=False)):
        highest = maps.max() if one_scale else plane.max()
        axis.imshow(plane, cmap="gray", vmin=0, vmax=max(highest, 1e-9))
        axis.set_title(channel, pad=2, fontsize=9)
        if dead[channel]:
            axis.plot([0, 1], [0, 1], [0, 1], [1, 0], transform=axis.transAxes, color=COLORS[1])
    return png(figure)


def receptive_fields(image: ArrayLike, fields: Mapping[str, ArrayLike]) -> Picture:
    """Tint the pixels of an image that some units see.

    Parameters
    ----------
    image : array_like
        Shape (height, width, 1) or (height, width, 3).  Values outside [0, 1] are clipped.
    fields : dict of str to array_like of bool
        Titles and the pixels that a unit sees, shape (height, width), as
        `diagnosis.receptive_field` gives them.

    Returns
    -------
    Picture
        PNG; the image once for each unit.

    Raises
    ------
    ValueError
        The image is of another shape.

    Examples
    --------
    >>> receptive_fields(np.zeros((28, 28, 1)), {"code": np.eye(28, dtype=bool)}).kind
    'png'
    """
    figure, axes = grid(1, len(fields), cell=WIDTH / max(len(fields), 3), label=0.25)
    red, green, blue = to_rgb(COLORS[4])
    for axis, (title, field) in zip(axes.flat, fields.items(), strict=True):
        _draw(axis, np.clip(np.asarray(image), 0, 1))
        tint = np.zeros((*np.shape(field), 4))
        tint[np.asarray(field, bool)] = red, green, blue, 0.55
        axis.imshow(tint)
        axis.set_title(title, fontsize=WIDE_FONT)
    return png(figure)


def _draw(axis, image):
    """Draw one image, grey or in colour."""
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3):
        raise ValueError(
            f"pictures must have 1 channel (grey) or 3 (colour), got shape {image.shape}"
        )
    if channels == 3:
        axis.imshow(np.clip(image, 0, 1))
    else:
        axis.imshow(image.reshape(image.shape[:2]), cmap="gray", vmin=0, vmax=1)
