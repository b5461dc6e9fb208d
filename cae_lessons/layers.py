"""Max pooling that remembers where, and the layers that undo pooling.

Windows don't overlap, so each pooled value owns one block of the image, and unpooling is one
operation: spread every value over its block, times a mask.  (A corner alone is filled faster.)

=========  ====================================  =======================
unpooling  mask                                  layer
=========  ====================================  =======================
zero-fill  a corner: the block's top left        `ZeroFillUnpooling2D`
nearest    all ones                              Keras' `UpSampling2D`
argmax     the one-hot of the block's argmax     `MaxUnpooling2D`
=========  ====================================  =======================

Images are (batch, height, width, channels), and only the batch may be unknown.
"""

import math
import operator

import keras
import numpy as np
from keras import ops


def spread(x, pool_size, size=None):
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
        A parameter is none of these, or images of that size don't pool to (h, w).

    Examples
    --------
    >>> ops.convert_to_numpy(spread(np.reshape([1, 2], (1, 1, 2, 1)), 2))[0, :, :, 0].tolist()
    [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    pool_size = pair("pool_size", pool_size)
    _, *size, _ = _unpooled_shape(_image_shape("x", x.shape), pool_size, size)
    for axis in (1, 2):
        x = ops.repeat(x, pool_size[axis - 1], axis=axis)
        x = _cut_or_extend(x, axis, size[axis - 1])
    return x


def corner_mask(size, pool_size):
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
        A parameter is no positive whole number, nor a pair of them.

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


def argmax_mask(argmax, pool_size, size=None):
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
    return ops.equal(argmax, _positions(argmax.shape[1:]))


class _BlockLayer(keras.layers.Layer):
    """A layer that works block by block."""

    def __init__(self, pool_size=2, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = pair("pool_size", pool_size)

    def get_config(self):
        """Return what `from_config` needs to make the layer again."""
        return {**super().get_config(), "pool_size": self.pool_size}


@keras.saving.register_keras_serializable(package="cae_lessons")
class MaxPoolingWithArgmax2D(_BlockLayer):
    """Max pooling that also tells where each maximum was.

    The windows don't overlap.  Where they don't divide the image they overhang it, as with SAME
    padding: by half of the excess before the image, by the rest after.  Values and indices equal
    those of `tf.nn.max_pool_with_argmax`, which runs on TensorFlow only, and not under XLA.

    Of equal maxima the first in reading order counts; it alone gets the gradient.

    Parameters
    ----------
    pool_size : int or pair of int
        The height and width of a window, and the stride.
    **kwargs
        As for any Keras layer: `name`, `dtype`.

    Notes
    -----
    Input: (batch, height, width, channels); integers become floats.  Output: the maxima and, as
    int32, their indices (y · width + x) · channels + c in one flattened image; both have shape
    (batch, ⌈height / pool⌉, ⌈width / pool⌉, channels).

    Raises
    ------
    ValueError
        `pool_size` or the input is none of these.

    References
    ----------
    Zeiler, Taylor and Fergus, "Adaptive deconvolutional networks for mid and high
    level feature learning", 2011, whose "switches" are these indices.

    Examples
    --------
    >>> image = np.reshape([[1, 5, 0, 0], [2, 3, 0, 4]], (1, 2, 4, 1))
    >>> pooled, argmax = MaxPoolingWithArgmax2D()(image)
    >>> ops.convert_to_numpy(pooled)[0, :, :, 0]
    array([[5., 4.]], dtype=float32)
    >>> ops.convert_to_numpy(argmax)[0, :, :, 0]
    array([[1, 7]], dtype=int32)
    """

    def call(self, x):
        """Pool `x`."""
        _, height, width, channels = _image_shape("x", x.shape)
        rows, columns = self.pool_size
        margins = [(0, 0), same_margins(height, rows), same_margins(width, columns), (0, 0)]
        x = ops.cast(x, self.compute_dtype)
        if any(map(any, margins)):
            x = ops.pad(x, margins, constant_values=-np.inf)
        # "edge": the index is one of the image's own even where all of a window is -inf.
        positions = np.pad(_positions((1, height, width, channels)), margins, "edge")
        pooled = ops.max_pool(x, self.pool_size, self.pool_size, data_format="channels_last")
        return pooled, _first_place(x, pooled, positions, self.pool_size)

    def compute_output_shape(self, input_shape):
        """Return the shapes of the maxima and of their indices."""
        batch, height, width, channels = _image_shape("x", input_shape)
        rows, columns = self.pool_size
        shape = (batch, -(-height // rows), -(-width // columns), channels)
        return shape, shape

    def compute_output_spec(self, x):
        """Return the shapes and dtypes of the outputs, as Keras asks it."""
        pooled, argmax = self.compute_output_shape(x.shape)
        return keras.KerasTensor(pooled, self.compute_dtype), keras.KerasTensor(argmax, "int32")


@keras.saving.register_keras_serializable(package="cae_lessons")
class MaxUnpooling2D(_BlockLayer):
    """Undo `MaxPoolingWithArgmax2D`: each maximum back to its place, zeros elsewhere.

    The gradient reaches the values, never the indices.

    Parameters
    ----------
    pool_size : int or pair of int
        As for the pooling.
    output_size : int or pair of int, optional
        The (height, width) before the pooling, by default `pool_size` times the input's.  Both 7
        and 8 pool to 4: for 7, say so.  Rows and columns that no window covered, as PyTorch's
        pooling leaves them, become zeros.
    **kwargs
        As for any Keras layer: `name`, `dtype`.

    Notes
    -----
    Input: a list of two, the values and their indices as `MaxPoolingWithArgmax2D` gives them,
    each (batch, h, w, channels).  Output: (batch, height, width, channels).

    An index counts in an image of the output's size, and lies in its value's own block.  Called
    eagerly, the layer checks that.  Compiled (`tf.function`, `fit`, `jax.jit`) it can't: there a
    value with a wrong index is dropped.  The values are finite: an infinite one would make NaN of
    the rest of its block.

    Raises
    ------
    ValueError
        A parameter or the input is none of these, no image of `output_size` pools to the input,
        or an index lies outside its value's block.

    References
    ----------
    Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014.
    TensorFlow issue 2169 asked for this layer.

    Examples
    --------
    >>> image = np.reshape([[1, 5, 0, 0], [2, 3, 0, 4]], (1, 2, 4, 1))
    >>> pooled, argmax = MaxPoolingWithArgmax2D()(image)
    >>> ops.convert_to_numpy(MaxUnpooling2D()([pooled, argmax]))[0, :, :, 0]
    array([[0., 5., 0., 0.],
           [0., 0., 0., 4.]], dtype=float32)
    """

    def __init__(self, pool_size=2, output_size=None, **kwargs):
        super().__init__(pool_size, **kwargs)
        self.output_size = None if output_size is None else pair("output_size", output_size)

    def get_config(self):
        """Return what `from_config` needs to make the layer again."""
        return {**super().get_config(), "output_size": self.output_size}

    def call(self, inputs):
        """Unpool `inputs`, the values and their indices."""
        _, *size, _ = self.compute_output_spec(inputs).shape
        pooled, argmax = inputs
        mask = argmax_mask(argmax, self.pool_size, size)
        _check_one_place_each(mask, argmax)
        pooled = spread(ops.cast(pooled, self.compute_dtype), self.pool_size, size)
        # A product: where each image has a mask of its own, to choose by it takes longer.
        return pooled * ops.cast(mask, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Return the shape of the unpooled images."""
        pooled, argmax = (tuple(shape) for shape in input_shape)
        batches = {*pooled[:1], *argmax[:1]} - {None}
        if pooled[1:] != argmax[1:] or len(batches) > 1:
            raise ValueError(f"argmax has shape {argmax}, expected that of the values, {pooled}")
        return _unpooled_shape(_image_shape("pooled", pooled), self.pool_size, self.output_size)

    def compute_output_spec(self, inputs):
        """Return the shape and dtype of the output, as Keras asks it."""
        if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
            raise ValueError("the input is no list of two tensors, expected [pooled, argmax]")
        pooled, argmax = inputs
        dtype = keras.backend.standardize_dtype(argmax.dtype)
        if "int" not in dtype:
            raise ValueError(f"argmax has dtype {dtype}, expected whole numbers (int32)")
        shape = self.compute_output_shape((pooled.shape, argmax.shape))
        return keras.KerasTensor(shape, self.compute_dtype)


@keras.saving.register_keras_serializable(package="cae_lessons")
class ZeroFillUnpooling2D(_BlockLayer):
    """Enlarge without knowing where: each value to the top left of its block, zeros elsewhere.

    Parameters
    ----------
    pool_size : int or pair of int
        The height and width of a block.
    **kwargs
        As for any Keras layer: `name`, `dtype`.

    Notes
    -----
    Input: (batch, h, w, channels); integers become floats.
    Output: (batch, h · pool, w · pool, channels).

    Raises
    ------
    ValueError
        `pool_size` or the input is none of these.

    References
    ----------
    Dosovitskiy, Springenberg and Brox, "Learning to generate chairs with convolutional
    neural networks", 2015.

    Examples
    --------
    >>> x = np.reshape([1, 2], (1, 1, 2, 1))
    >>> ops.convert_to_numpy(ZeroFillUnpooling2D()(x))[0, :, :, 0]
    array([[1., 0., 2., 0.],
           [0., 0., 0., 0.]], dtype=float32)
    """

    def call(self, x):
        """Unpool `x`."""
        _, *size, channels = self.compute_output_shape(x.shape)
        rows, columns = self.pool_size
        # To extend each value to its block by zeros is faster than to spread it and mask.
        x = ops.reshape(x, (-1, x.shape[1], 1, x.shape[2], 1, channels))
        margins = [(0, 0), (0, 0), (0, rows - 1), (0, 0), (0, columns - 1), (0, 0)]
        x = ops.pad(ops.cast(x, self.compute_dtype), margins)
        return ops.reshape(x, (-1, *size, channels))

    def compute_output_shape(self, input_shape):
        """Return the shape of the unpooled images."""
        return _unpooled_shape(_image_shape("x", input_shape), self.pool_size)


def to_tensorflow_indices(indices, convention, size):
    """Convert argmax indices to TensorFlow's convention, which the layers here use.

    ==========  ======  ==============================================  ===============
    convention  layout  index                                           counts within
    ==========  ======  ==============================================  ===============
    tensorflow  NHWC    (y · width + x) · channels + c                  one image
    pytorch     NCHW    y · width + x                                   one plane
    onnx        NCHW    ((n · channels + c) · height + y) · width + x   the whole batch
    ==========  ======  ==============================================  ===============

    TensorFlow's is that of `include_batch_in_index=False`, ONNX's that of `storage_order=0`.

    Parameters
    ----------
    indices : array_like
        Whole numbers with four axes, in the convention's layout.
    convention : {"tensorflow", "pytorch", "onnx"}
        The indices' own.
    size : int or pair of int
        The (height, width) of the images before the pooling, where the indices point.

    Returns
    -------
    numpy.ndarray
        int64, NHWC.

    Raises
    ------
    ValueError
        A parameter is none of these, or an index points outside its plane.

    Examples
    --------
    >>> indices = np.reshape([5, 7, 13, 15], (1, 1, 2, 2)).repeat(2, axis=1)  # two channels
    >>> to_tensorflow_indices(indices, "pytorch", (4, 4)).tolist()
    [[[[10, 11], [14, 15]], [[26, 27], [30, 31]]]]
    """
    return _convert(indices, convention, "tensorflow", size)


def from_tensorflow_indices(indices, convention, size):
    """Convert argmax indices from TensorFlow's convention: undo `to_tensorflow_indices`.

    Parameters
    ----------
    indices : array_like
        Whole numbers with four axes, NHWC.
    convention : {"tensorflow", "pytorch", "onnx"}
        The wanted one, from the table of `to_tensorflow_indices`.
    size : int or pair of int
        The (height, width) of the images before the pooling, where the indices point.

    Returns
    -------
    numpy.ndarray
        int64, in the convention's layout.

    Raises
    ------
    ValueError
        As `to_tensorflow_indices`.

    Examples
    --------
    >>> from_tensorflow_indices([[[[10, 11], [14, 15]]]], "pytorch", (4, 4)).tolist()
    [[[[5, 7]], [[5, 7]]]]
    """
    return _convert(indices, "tensorflow", convention, size)


def pair(name, value):
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
        `value` is no positive whole number, nor a pair of them.

    Examples
    --------
    >>> pair("pool_size", 2)
    (2, 2)
    """
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in both)
    if len(both) != 2 or not whole or min(both) < 1:
        raise ValueError(f"{name}={value!r}, expected a positive whole number or a pair of them")
    return tuple(map(int, both))


def _first_place(x, pooled, positions, pool_size):
    """Return the position of each window's first entry that equals the window's maximum.

    Where none does, as with NaN, it is the last position.
    """
    *cells, _ = _cells(x, pool_size)
    *places, last = _cells(positions, pool_size)
    argmax = ops.zeros_like(pooled, dtype="int32") + last
    # From last to first: of several, the first has the last word.
    for cell, place in zip(reversed(cells), reversed(places), strict=True):
        argmax = ops.where(ops.equal(cell, pooled), place, argmax)
    return argmax


def _cells(x, pool_size):
    """Return one tensor for each place in a window, in reading order: all windows' entry there.

    Strided slices would say the same, but in TensorFlow they take several times as long.
    """
    rows, columns = pool_size
    _, height, width, channels = x.shape
    strips = ops.reshape(x, (-1, height // rows, rows, width * channels))
    shape = (-1, height // rows, width // columns, columns, channels)
    strips = [ops.reshape(strip, shape) for strip in ops.unstack(strips, rows, axis=2)]
    return [cell for strip in strips for cell in ops.unstack(strip, columns, axis=3)]


def _positions(shape):
    """Return each entry's place in the flattened image: TensorFlow's index of it."""
    return np.arange(math.prod(shape), dtype="int32").reshape(shape)


def same_margins(size, pool_size):
    """Return by how much SAME padding extends an axis before and after."""
    excess = -size % pool_size
    return excess // 2, excess - excess // 2


def _cut_or_extend(x, axis, size):
    """Bring an axis to the image's size: cut off SAME padding's margins, or add zeros."""
    excess = x.shape[axis] - size
    if excess > 0:
        start = excess // 2
        return x[:, start : start + size] if axis == 1 else x[:, :, start : start + size]
    if excess < 0:
        return ops.pad(x, [(0, -excess if i == axis else 0) for i in range(4)])
    return x


def _unpooled_shape(shape, pool_size, size=None):
    batch, *pooled, channels = shape
    full = [count * step for count, step in zip(pooled, pool_size, strict=True)]
    size = tuple(full) if size is None else pair("output_size", size)
    if any(abs(f - s) >= p for f, s, p in zip(full, size, pool_size, strict=True)):
        raise ValueError(
            f"output_size={size}, but windows of {pool_size[0]} × {pool_size[1]} pool no such "
            f"image to {pooled[0]} × {pooled[1]}"
        )
    return (batch, *size, channels)


def _image_shape(name, shape):
    shape = tuple(shape)
    if len(shape) != 4 or not all(shape[1:]):
        raise ValueError(
            f"{name} has shape {shape}, expected (batch, height, width, channels), "
            "of which only the batch may be unknown"
        )
    return shape


def _check_one_place_each(mask, argmax):
    """Raise for an index outside its value's block: the mask misses it."""
    try:
        found = operator.index(ops.sum(ops.cast(mask, "int32")))
    except TypeError:  # compiled: there are no values yet
        return
    count = math.prod(argmax.shape)
    if found < count:
        size = " × ".join(map(str, mask.shape[1:]))
        raise ValueError(
            f"{count - found} of the {count} indices in argmax lie outside their value's block of "
            f"a {size} image: do they count in an image of another size? Then give output_size"
        )


def _convert(indices, source, target, size):
    plane_size = math.prod(pair("size", size))
    nhwc = _move_channels(_check_indices(indices), source, 1, -1)
    step, start = _step_and_start(source, nhwc.shape, plane_size)
    place, rest = np.divmod(nhwc - start, step)  # y · width + x
    if np.any(rest) or np.any((place < 0) | (place >= plane_size)):
        raise ValueError(f"indices point outside their plane of size {size}, by {source}'s count")
    step, start = _step_and_start(target, nhwc.shape, plane_size)
    return _move_channels(place * step + start, target, -1, 1)


def _check_indices(indices):
    indices = np.asarray(indices)
    if indices.ndim != 4 or not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(
            f"indices have {indices.ndim} axes and dtype {indices.dtype}, "
            "expected 4 and whole numbers"
        )
    return indices.astype(np.int64)


def _move_channels(indices, convention, source, target):
    return indices if convention == "tensorflow" else np.moveaxis(indices, source, target)


def _step_and_start(convention, shape, plane_size):
    """Return what an index grows by from place to place, and what it starts at in each plane."""
    image, channel = np.arange(shape[0]).reshape(-1, 1, 1, 1), np.arange(shape[-1])
    steps_and_starts = {
        "tensorflow": (shape[-1], channel),
        "pytorch": (1, 0),
        "onnx": (1, (image * shape[-1] + channel) * plane_size),
    }
    if convention not in steps_and_starts:
        choices = ", ".join(map(repr, steps_and_starts))
        raise ValueError(f"convention={convention!r}, expected one of {choices}")
    return steps_and_starts[convention]
