"""The definition of pooling with places and of its inverse, in `keras.ops`.

Where windows lie side by side, each pooled value owns one block of the image, and unpooling is
one operation: spread every value over its block, and keep it where a mask says so.  Where they
overlap or leave gaps, each value is sent to its index.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from cae_lessons.pooling.windows import (
    PADDING,
    Windows,
    check_size,
    pair,
    places,
    shape_of,
    steps,
    unpooled_size,
    within,
)


def pool(x, windows: Windows) -> tuple[Any, Any]:
    """Return the maximum of each window, and where it was.

    A window's first entry is replaced by each later one that is larger: as TensorFlow's op does
    it, and so with its ties (the first counts) and with its NaN (which counts only as the first).
    """
    _, *size, channels = shape_of(x)
    count = windows.count(size)
    (top, bottom), (left, right) = windows.overhang(size, count)
    padded = _repeat_edges(_repeat_edges(x, 1, top, bottom), 2, left, right)
    pooled: Any = None
    argmax: Any = None
    for row, column in np.ndindex(windows.size):
        cell = _every(_every(padded, 1, row, count[0], windows), 2, column, count[1], windows)
        place = places(
            within(steps(count[0], windows.strides[0], row - top), size[0]),
            within(steps(count[1], windows.strides[1], column - left), size[1]),
            size[1],
            channels,
        )
        if pooled is None:
            pooled, argmax = cell, ops.broadcast_to(place, shape_of(cell))
        else:
            higher = ops.greater(cell, pooled)
            pooled, argmax = ops.where(higher, cell, pooled), ops.where(higher, place, argmax)
    return pooled, argmax


def unpool(pooled, argmax, windows: Windows, size):
    """Return images of a (height, width), each value where its index says, zeros elsewhere.

    An index outside its value's window drops the value.  Where several windows chose one pixel,
    one of their values is put there: they are equal.
    """
    if not windows.are_blocks:
        return _scatter(pooled, argmax, windows, size)
    mask = argmax_mask(argmax, windows.size, size)
    return ops.where(mask, spread(pooled, windows.size, size), 0)


def in_own_window(argmax, windows: Windows, size):
    """Return for each index whether it points to its own channel of its own window."""
    _, *count, channels = shape_of(argmax)
    place = argmax // channels
    found = ops.equal(argmax - place * channels, np.arange(channels, dtype="int32"))
    row = place // size[1]
    overhang = windows.overhang(size, count)
    for axis, coordinate in enumerate((row, place - row * size[1])):
        start = steps(count[axis], windows.strides[axis], -overhang[axis][0])
        start = ops.reshape(start, (1, -1, 1, 1) if axis == 0 else (1, 1, -1, 1))
        found = found & ops.greater_equal(coordinate, ops.maximum(start, 0))
        found = found & ops.less(coordinate, ops.minimum(start + windows.size[axis], size[axis]))
    return found


def spread(
    x: Any, pool_size: int | tuple[int, int], size: int | tuple[int, int] | None = None
) -> Any:
    """Fill the block of every value with that value: unpooling before its mask.

    Parameters
    ----------
    x : tensor
        Shape (batch, h, w, channels).
    pool_size : int or pair of int
        The height and width of a block.
    size : int or pair of int, optional
        The (height, width) of the result, by default `pool_size` times (h, w).  A smaller size
        cuts off what SAME padding added, a larger one adds zeros that no window covered.

    Returns
    -------
    tensor
        Shape (batch, height, width, channels).

    Raises
    ------
    ValueError
        `pool_size` or `size` is not a positive whole number or a pair of them, or images of that
        size don't pool to (h, w).

    Examples
    --------
    >>> ops.convert_to_numpy(spread(np.reshape([1, 2], (1, 1, 2, 1)), 2))[0, :, :, 0].tolist()
    [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    pool_size = pair("pool_size", pool_size)
    size = _block_image_size(x, pool_size, size)
    for axis in (1, 2):
        x = ops.repeat(x, pool_size[axis - 1], axis=axis)
        x = cut_or_extend(x, axis, size[axis - 1])
    return x


def corner_mask(size: int | tuple[int, int], pool_size: int | tuple[int, int]) -> np.ndarray:
    """Return the mask of zero-fill unpooling: True at the top left of every block.

    Parameters
    ----------
    size, pool_size : int or pair of int
        The (height, width) of the unpooled image and of a block.

    Returns
    -------
    numpy.ndarray
        bool, shape (height, width, 1).

    Raises
    ------
    ValueError
        A parameter is not a positive whole number, nor a pair of them.

    Examples
    --------
    >>> corner_mask((2, 4), 2)[:, :, 0]
    array([[ True, False,  True, False],
           [False, False, False, False]])
    """
    rows, columns = pair("pool_size", pool_size)
    mask = np.zeros((*pair("size", size), 1), bool)
    mask[::rows, ::columns] = True
    return mask


def argmax_mask(
    argmax: Any, pool_size: int | tuple[int, int], size: int | tuple[int, int] | None = None
) -> Any:
    """Return the mask of argmax unpooling: True where the maximum was, once in every block.

    Parameters
    ----------
    argmax : tensor
        Whole numbers, shape (batch, h, w, channels): (y · width + x) · channels + c.
    pool_size, size
        As in `spread`.

    Returns
    -------
    tensor
        bool, shape (batch, height, width, channels).

    Raises
    ------
    ValueError
        As `spread`.

    Examples
    --------
    >>> ops.convert_to_numpy(argmax_mask(np.reshape([5, 2], (1, 1, 2, 1)), 2))[0, :, :, 0]
    array([[False, False,  True, False],
           [False,  True, False, False]])
    """
    argmax = spread(ops.cast(argmax, "int32"), pool_size, size)
    _, height, width, channels = shape_of(argmax)
    # The zeros beyond the last window can't match: 0 is the index of the very first pixel.
    return ops.equal(argmax, places(steps(height, 1), steps(width, 1), width, channels))


def cut_or_extend(x, axis: int, size):
    """Bring an axis to the image's size: cut off SAME padding's margins, or add zeros."""
    excess = shape_of(x)[axis] - size
    if isinstance(excess, int):
        before, missing = max(excess, 0) // 2, max(-excess, 0)
    else:
        before, missing = ops.maximum(excess, 0) // 2, ops.maximum(-excess, 0)
    if not isinstance(missing, int) or missing:
        x = ops.pad(x, [(0, missing if i == axis else 0) for i in range(4)])
    if isinstance(excess, int) and excess <= 0:
        return x
    return x[:, before : before + size] if axis == 1 else x[:, :, before : before + size]


def _block_image_size(x, pool_size, size):
    """Return the size of images that blocks fill, checked as far as it is known."""
    count = shape_of(x)[1:3] if len(x.shape) == 4 else ()
    if len(count) != 2 or 0 in x.shape[1:]:
        raise ValueError(f"x must have shape (batch, h, w, channels), got {tuple(x.shape)}")
    windows = Windows(pool_size, pool_size, "same")
    if size is None:
        return unpooled_size(count, windows)
    if isinstance(size, (tuple, list)) and not all(isinstance(n, int) for n in size):
        return size  # tensors: the sizes of images whose size is unknown
    size = pair("output_size", size)
    check_size(tuple(x.shape[1:3]), windows, size, PADDING)
    return size


def _repeat_edges(x, axis: int, before, after):
    """Extend an axis by copies of its first and of its last entry, which can't win in a window."""
    if isinstance(before, int) and isinstance(after, int) and before == after == 0:
        return x
    size = shape_of(x)[axis]
    return ops.take(x, within(steps(size + before + after, 1, -before), size), axis=axis)


def _every(x, axis: int, start: int, count, windows: Windows):
    """Return the entries of an axis that lie `start` after each window's beginning."""
    step = windows.strides[axis - 1]
    stop = start + (count - 1) * step + 1
    return x[:, start:stop:step] if axis == 1 else x[:, :, start:stop:step]


def _scatter(pooled, argmax, windows: Windows, size):
    """Send each value to its index, in images with one more place for what is dropped."""
    batch, _, _, channels = shape_of(pooled)
    pixels = size[0] * size[1] * channels
    index = ops.where(in_own_window(argmax, windows, size), argmax, pixels)
    image = ops.reshape(steps(batch, pixels + 1), (-1, 1, 1, 1))
    # In this order: Keras takes a second term with one long axis for a bias of the channels.
    index = ops.reshape(ops.add(image, index), (-1,))
    values = ops.where(_is_last(index, batch * (pixels + 1)), ops.reshape(pooled, (-1,)), 0)
    image = ops.scatter(index[:, None], values, (batch * (pixels + 1),))
    image = ops.reshape(image, (batch, pixels + 1))[:, :pixels]
    return ops.reshape(image, (batch, *size, channels))


def _is_last(index, length):
    """Return for each index whether no later one is equal: such values are put, not added."""
    order = ops.arange(shape_of(index)[0], dtype="int32")
    owner = ops.scatter_update(ops.zeros((length,), "int32"), index[:, None], order)
    return ops.equal(ops.take(owner, index), order)
