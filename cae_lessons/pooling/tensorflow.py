"""Pooling with places on TensorFlow: the reference's arithmetic in the ops that are fast there.

On the CPU, gathering pixels is several times as fast as strided slices, whose gradient is slower
still, and `Select` is faster than `tf.where` and than the product with a mask.  Hence gradients of
our own.  Unlike TensorFlow's own op this runs under XLA too, and on every export.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from cae_lessons.pooling import reference
from cae_lessons.pooling.windows import Windows, places, shape_of, steps, within

# Measured: in blocks of more places, in small and in large maps, values are sent faster.
MOST_PLACES, MOST_PLACES_OF_LARGE_MAPS, LARGE_MAPS = 36, 100, 2**17


def pool(x: Any, windows: Windows) -> tuple[Any, Any]:
    """Return the maximum of each window, and where it was, as `reference.pool` does."""

    @tf.custom_gradient
    def differentiable(x):
        pooled, distance, begin = _running_maximum(x, windows)

        def gradient(upstream, _=None):
            return _sum_back(upstream, distance, begin, windows, shape_of(x))

        return (pooled, distance + begin), gradient

    return differentiable(x)


def unpool(pooled: Any, argmax: Any, windows: Windows, size: Any) -> Any:
    """Return images with each value where its index says, as `reference.unpool` does."""
    if not windows.are_blocks:
        return reference.unpool(pooled, argmax, windows, size)
    fill = _fill_place_by_place if _go_place_by_place(argmax, windows) else _send
    return tf.custom_gradient(lambda pooled: fill(pooled, argmax, windows, size))(pooled)


def _fill_place_by_place(pooled, argmax, windows, size):
    _, *count, channels = shape_of(argmax)
    begin = places(*_begins(windows, count, size), size[1], channels)
    masks = _place_masks(argmax - begin, windows, size[1])

    def gradient(upstream):
        cells = _cells(_extend(upstream, windows, count), windows, count)
        return tf.add_n(_keep(cells, masks))

    return _cut(_join(_keep([pooled] * len(masks), masks), windows), windows, size), gradient


def _send(pooled, argmax, windows, size):
    batch, _, _, channels = shape_of(pooled)
    inside = reference.in_own_window(argmax, windows, size)
    index = tf.where(inside, argmax, 0)  # a dropped value adds 0 there

    def gradient(upstream):
        flat = tf.reshape(upstream, (batch, size[0] * size[1] * channels))
        found = tf.gather(flat, tf.reshape(index, (batch, -1)), batch_dims=1)
        return _keep([tf.reshape(found, shape_of(pooled))], [inside])[0]

    return _add_up(*_keep([pooled], [inside]), index, (batch, *size, channels)), gradient


def _go_place_by_place(argmax, windows) -> bool:
    """Whether to fill one place of all blocks after the other: fast while there are few places."""
    if not windows.are_blocks:
        return False
    places = windows.size[0] * windows.size[1]
    entries = (argmax.shape[1:].num_elements() or 0) * places
    return places <= (MOST_PLACES_OF_LARGE_MAPS if entries > LARGE_MAPS else MOST_PLACES)


def _running_maximum(x, windows):
    """Return the maxima, how far each is from where its window begins, and where that is."""
    _, *size, channels = shape_of(x)
    count = windows.count(size)
    begins = _begins(windows, count, size)
    firsts = [within(begin, length) for begin, length in zip(begins, size, strict=True)]
    pooled = tf.gather(tf.gather(x, firsts[0], axis=1), firsts[1], axis=2)
    # Later places are farther: of all that were higher when their turn came, the farthest is the
    # last.
    begin = places(*begins, size[1], channels)
    distance = tf.broadcast_to(places(*firsts, size[1], channels) - begin, shape_of(pooled))
    # Margins as low as the lowest pixel are never higher.  (-inf would become NaN in ONNX, where
    # tf2onnx makes products of choices.)
    x = _pad(x, windows.overhang(size, count), tf.reduce_min)
    cells = _cells(x, windows, count)
    for (row, column), cell in list(zip(np.ndindex(windows.size), cells, strict=True))[1:]:
        higher = cell > pooled
        pooled = _choose(higher, cell, pooled)
        here = (row * size[1] + column) * channels
        distance = tf.maximum(distance, tf.cast(higher, "int32") * here)
    return pooled, distance, begin


def _begins(windows, count, size):
    """Return the rows and the columns where windows begin, negative in a margin."""
    margins = windows.overhang(size, count)
    return [steps(count[i], windows.strides[i], -margins[i][0]) for i in (0, 1)]


def _cells(x, windows, count):
    """Return the entries of all windows at one place, for each place in a window."""
    _, height, width, channels = shape_of(x)
    pixels = tf.reshape(x, (-1, height * width, channels))
    begins = [steps(n, stride) for n, stride in zip(count, windows.strides, strict=True)]
    first = tf.reshape(places(*begins, width, 1), (-1,))
    cells = [
        tf.gather(pixels, first + (row * width + column), axis=1)
        for row, column in np.ndindex(windows.size)
    ]
    return [tf.reshape(cell, (-1, *count, channels)) for cell in cells]


def _choose(mask, x, other):
    """Return `x` where the mask is true, else `other`, by an op twice as fast as `tf.where`."""
    return tf.raw_ops.Select(condition=mask, x=x, y=other)


def _pad(x, margins, fill=None):
    """Add margins, if there are any, of zeros or of what a function of the image gives."""
    if _known_to_equal([n for margin in margins for n in margin], [0] * 4):
        return x
    return tf.pad(x, [(0, 0), *margins, (0, 0)], constant_values=fill(x) if fill else 0)


def _sum_back(upstream, distance, begin, windows, shape):
    """Return images of a shape with each value added where it belongs."""
    size = shape[1:3]
    if _go_place_by_place(distance, windows):
        masks = _place_masks(distance, windows, size[1])
        return _cut(_join(_keep([upstream] * len(masks), masks), windows), windows, size)
    return _add_up(upstream, distance + begin, shape)


def _add_up(values, argmax, shape):
    batch, height, width, channels = shape
    pixels = height * width * channels
    image = tf.reshape(steps(batch, pixels), (-1, 1, 1, 1))
    index = tf.reshape(argmax + image, (-1, 1))
    return tf.reshape(tf.scatter_nd(index, tf.reshape(values, (-1,)), (batch * pixels,)), shape)


def _place_masks(distance, windows, width):
    """Return for each place in a block whether it is the one at that distance."""
    channels = shape_of(distance)[-1]
    return [
        tf.equal(distance, (row * width + column) * channels)
        for row, column in np.ndindex(windows.size)
    ]


def _keep(values, masks):
    """Return values where their masks are true, else 0."""
    zeros = tf.zeros_like(values[0])
    return [_choose(mask, x, zeros) for x, mask in zip(values, masks, strict=True)]


def _join(cells, windows):
    """Return images from the entries of all blocks at each place: undo `_cells`."""
    _, count, width, channels = shape_of(cells[0])
    rows, columns = windows.size
    row = width * columns * channels
    strips = [
        tf.reshape(tf.concat(cells[i : i + columns], 3), (-1, count, row))
        for i in range(0, rows * columns, columns)
    ]
    return tf.reshape(tf.concat(strips, 2), (-1, count * rows, width * columns, channels))


def _cut(x, windows, size):
    """Bring blocks to the image's size: cut off margins, and add zeros that no window covered."""
    full = shape_of(x)[1:3]
    if _known_to_equal(full, size):
        return x
    count = [n // window for n, window in zip(full, windows.size, strict=True)]
    (top, _), (left, _) = windows.overhang(size, count)
    x = _pad(x, [(0, _missing(n, wanted)) for n, wanted in zip(full, size, strict=True)])
    return x[:, top : top + size[0], left : left + size[1]]


def _missing(size, wanted):
    known = isinstance(size, int) and isinstance(wanted, int)
    return max(wanted - size, 0) if known else tf.maximum(wanted - size, 0)


def _extend(x, windows, count):
    """Bring an image to the size of its blocks, with zeros in the margins: undo `_cut`."""
    size = shape_of(x)[1:3]
    full = [n * window for n, window in zip(count, windows.size, strict=True)]
    if _known_to_equal(full, size):
        return x
    x = _pad(x, windows.overhang(size, count))
    return x[:, : full[0], : full[1]]


def _known_to_equal(some, others) -> bool:
    both = zip(some, others, strict=True)
    return all(isinstance(a, int) and isinstance(b, int) and a == b for a, b in both)
