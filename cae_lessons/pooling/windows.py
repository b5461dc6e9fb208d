"""Where pooling windows lie: sizes, margins and counts, for images of known or unknown size."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from keras import ops

PADDING = ("same", "valid")


@dataclasses.dataclass(frozen=True)
class Windows:
    """The windows of a pooling: their size, their strides, and how they lie at the border."""

    size: tuple[int, int]
    strides: tuple[int, int]
    padding: str

    @property
    def are_blocks(self) -> bool:
        """Whether the windows lie side by side, without overlap and without gaps."""
        return self.size == self.strides

    def count(self, image_size) -> tuple:
        """Return how many windows there are in each direction, None where that is unknown."""
        if self.padding == "same":
            return tuple(
                None if size is None else -(-size // step)
                for size, step in zip(image_size, self.strides, strict=True)
            )
        return tuple(
            None if size is None else (size - window) // step + 1
            for size, window, step in zip(image_size, self.size, self.strides, strict=True)
        )

    def overhang(self, image_size, count) -> list[tuple]:
        """Return by how much `count` windows overhang an image: (before, after) for each axis."""
        sizes = zip(image_size, count, self.size, self.strides, strict=True)
        return [_halves((n - 1) * step + window - size) for size, n, window, step in sizes]


def pair(name: str, value: Any) -> tuple[int, int]:
    """Return a size as (height, width): a single number counts for both.

    Parameters
    ----------
    name : str
        What the error message calls it.
    value : int or pair of int

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        `value` is not a positive whole number, nor a pair of them.

    Examples
    --------
    >>> pair("pool_size", 2)
    (2, 2)
    """
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in both)
    if len(both) != 2 or not whole or min(both) < 1:
        raise ValueError(f"{name} must be a positive whole number or a pair of them, got {value!r}")
    return int(both[0]), int(both[1])


def same_margins(size: int, pool_size: int) -> tuple[int, int]:
    """Return by how much SAME padding extends an axis before and after.

    Examples
    --------
    >>> same_margins(7, 3)
    (1, 1)
    """
    before, after = _halves(-size % pool_size)
    return before, after


def shape_of(x) -> tuple[Any, ...]:
    """Return a tensor's shape: a whole number where it is known, else a tensor."""
    shape: Any = ops.shape(x)
    return shape


def _halves(excess) -> tuple:
    """Split the excess of windows over the image; without one there are no margins."""
    excess = max(excess, 0) if isinstance(excess, int) else ops.maximum(excess, 0)
    return excess // 2, excess - excess // 2


def steps(count, step, start=0):
    """Return `count` whole numbers from `start` on, `step` apart, in NumPy where all is known."""
    known = isinstance(count, int) and isinstance(start, int)
    numbers = np.arange(count, dtype="int32") if known else ops.arange(count, dtype="int32")
    return numbers * step + start


def within(places, size):
    """Move places that lie outside an axis to its nearest end."""
    known = isinstance(places, np.ndarray) and isinstance(size, int)
    return np.clip(places, 0, size - 1) if known else ops.clip(places, 0, size - 1)


def places(rows, columns, width, channels):
    """Return the index (y · width + x) · channels + c at some rows, columns and all channels."""
    places = rows[:, np.newaxis] * width + columns
    return places[:, :, np.newaxis] * channels + np.arange(channels, dtype="int32")


def unpooled_size(count, windows: Windows) -> tuple:
    """Return the default size of unpooled images, None where that is unknown."""
    if windows.padding == "valid":
        both = zip(count, windows.strides, windows.size, strict=True)
        return tuple(None if n is None else (n - 1) * step + window for n, step, window in both)
    both = zip(count, windows.strides, strict=True)
    return tuple(None if n is None else n * step for n, step in both)


def check_size(count, windows: Windows, size, padding: tuple[str, ...]) -> None:
    """Raise unless images of that size pool to `count` windows by one of the paddings."""
    counts = [dataclasses.replace(windows, padding=name).count(size) for name in padding]
    for axis in (0, 1):
        known = None not in (count[axis], size[axis])
        if known and count[axis] not in [found[axis] for found in counts]:
            rows, columns = windows.size
            raise ValueError(
                f"output_size must be the size of images that windows of {rows} × {columns} pool "
                f"to {count[0]} × {count[1]}, got {size}"
            )
