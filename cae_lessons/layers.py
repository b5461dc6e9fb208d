"""Max pooling that remembers where, and the layers that undo pooling.

Where windows lie side by side, each pooled value owns one block of the image, and unpooling is
one operation: spread every value over its block, times a mask.  (A corner alone is filled faster.)

=========  ====================================  =======================
unpooling  mask                                  layer
=========  ====================================  =======================
zero-fill  a corner: the block's top left        `ZeroFillUnpooling2D`
nearest    all ones                              Keras' `UpSampling2D`
argmax     the one-hot of the block's argmax     `MaxUnpooling2D`
=========  ====================================  =======================

Images are (batch, height, width, channels), or (batch, channels, height, width) with
`data_format="channels_first"`; batch, height and width may be unknown.  The layers run on Keras'
TensorFlow, JAX and PyTorch backends, and import nothing but Keras and its backend.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import operator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from cae_lessons.pooling import reference
from cae_lessons.pooling.reference import argmax_mask, corner_mask, spread
from cae_lessons.pooling.windows import (
    PADDING,
    Windows,
    check_size,
    pair,
    same_margins,
    shape_of,
    unpooled_size,
)

__all__ = [
    "MaxPoolingWithArgmax2D",
    "MaxUnpooling2D",
    "ZeroFillUnpooling2D",
    "argmax_mask",
    "corner_mask",
    "from_tensorflow_indices",
    "pair",
    "same_margins",
    "spread",
    "to_tensorflow_indices",
]

Size = int | tuple[int, int]
Shape = tuple[int | None, ...]
DATA_FORMAT = ("channels_last", "channels_first")
FASTER = ("tensorflow", "jax", "torch")  # backends with something faster than the reference

if TYPE_CHECKING:  # all have the same functions
    from cae_lessons.pooling import tensorflow as pooling
else:
    _backend = keras.backend.backend()
    pooling = importlib.import_module(
        f"cae_lessons.pooling.{_backend if _backend in FASTER else 'reference'}"
    )


class _ImageLayer(keras.layers.Layer):
    """A layer without weights that takes images in one of the two layouts."""

    def __init__(self, pool_size: Size = 2, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.pool_size = pair("pool_size", pool_size)
        self.data_format = data_format or keras.config.image_data_format()
        _check_choice("data_format", self.data_format, DATA_FORMAT)
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the layer again."""
        config = {"pool_size": self.pool_size, "data_format": self.data_format}
        return {**super().get_config(), **config}

    def _channels_last(self, x):
        return ops.transpose(x, (0, 2, 3, 1)) if self._is_channels_first() else x

    def _own_layout(self, x):
        return ops.transpose(x, (0, 3, 1, 2)) if self._is_channels_first() else x

    def _is_channels_first(self) -> bool:
        return self.data_format == "channels_first"

    def _image_shape(self, name: str, shape) -> tuple:
        """Return a shape as (batch, height, width, channels), checked."""
        shape = tuple(shape)
        first = self._is_channels_first()
        ordered = shape[:1] + shape[2:] + shape[1:2] if first else shape
        if len(shape) != 4 or 0 in shape[1:] or ordered[-1] is None:
            order = "channels, height, width" if first else "height, width, channels"
            raise ValueError(
                f"{name} must have shape (batch, {order}) with a known number of channels, "
                f"got {shape}"
            )
        return ordered

    def _own_shape(self, batch, size, channels) -> Shape:
        return (batch, channels, *size) if self._is_channels_first() else (batch, *size, channels)


class _WindowLayer(_ImageLayer):
    """A layer whose windows may overlap, leave gaps and overhang the image."""

    def __init__(
        self,
        pool_size: Size = 2,
        strides: Size | None = None,
        padding: str | None = "same",
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(pool_size, data_format, **kwargs)
        self.strides = self.pool_size if strides is None else pair("strides", strides)
        self.padding = padding

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the layer again."""
        return {**super().get_config(), "strides": self.strides, "padding": self.padding}

    @property
    def windows(self) -> Windows:
        """Where the windows lie."""
        return Windows(self.pool_size, self.strides, self.padding or "same")


@keras.saving.register_keras_serializable(package="cae_lessons")
class MaxPoolingWithArgmax2D(_WindowLayer):
    """Max pooling that also tells where each maximum was.

    Values, indices and gradients equal those of `tf.nn.max_pool_with_argmax`, which runs on
    TensorFlow only, and not under XLA.

    Of equal maxima the first in reading order counts; it alone gets the gradient.  NaN counts as
    in TensorFlow's op: a window that begins with NaN gives NaN, elsewhere NaN is passed over.

    Parameters
    ----------
    pool_size : int or pair of int
        The height and width of a window.
    strides : int or pair of int, optional
        From one window to the next, by default `pool_size`.  Smaller strides make the windows
        overlap, larger ones leave gaps.
    padding : {"same", "valid"}
        What happens where windows don't divide the image.  `"same"`: they overhang it, by half
        of the excess before the image, by the rest after.  `"valid"`: pixels that no full window
        covers are left out.
    data_format : {"channels_last", "channels_first"}, optional
        By default what `keras.config.image_data_format()` says.
    **kwargs
        As for any Keras layer: `name`, `dtype`.

    Notes
    -----
    Input: (batch, height, width, channels); integers become floats.  Output: the maxima and, as
    int32, their indices (y · width + x) · channels + c in one flattened image; both have shape
    (batch, h, w, channels), where h is ⌈height / stride⌉ with `"same"` and
    ⌊(height − pool) / stride⌋ + 1 with `"valid"`.

    With `"channels_first"` input and outputs are (batch, channels, height, width).  The *indices*
    are still those of the image with channels last: a layout changes where an index stands, not
    what it says.

    Raises
    ------
    ValueError
        A parameter is not an allowed one, the input doesn't have four axes, or no window fits in.

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

    def __init__(
        self,
        pool_size: Size = 2,
        strides: Size | None = None,
        padding: str = "same",
        data_format: str | None = None,
        **kwargs: Any,
    ):
        _check_choice("padding", padding, PADDING)
        super().__init__(pool_size, strides, padding, data_format, **kwargs)

    def call(self, x: Any) -> tuple[Any, Any]:
        """Pool `x`, and return the maxima and their indices."""
        self.compute_output_shape(x.shape)
        x = self._channels_last(ops.cast(x, self.compute_dtype))
        pooled, argmax = pooling.pool(x, self.windows)
        _vouch(argmax, self.windows, x.shape[1:3])
        return self._own_layout(pooled), self._own_layout(argmax)

    def compute_output_shape(self, input_shape: Shape) -> tuple[Shape, Shape]:
        """Return the shapes of the maxima and of their indices."""
        batch, *size, channels = self._image_shape("x", input_shape)
        count = self.windows.count(size)
        if any(n is not None and n < 1 for n in count):
            raise ValueError(
                f"pool_size must fit into the image with padding='valid', got {self.pool_size} "
                f"for an image of {size[0]} × {size[1]}"
            )
        shape = self._own_shape(batch, count, channels)
        return shape, shape

    def compute_output_spec(self, x: Any) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Return the shapes and dtypes of the outputs, as Keras asks it."""
        pooled, argmax = self.compute_output_shape(x.shape)
        return keras.KerasTensor(pooled, self.compute_dtype), keras.KerasTensor(argmax, "int32")


@keras.saving.register_keras_serializable(package="cae_lessons")
class MaxUnpooling2D(_WindowLayer):
    """Undo `MaxPoolingWithArgmax2D`: each maximum back to its place, zeros elsewhere.

    The gradient reaches the values, never the indices.

    Parameters
    ----------
    pool_size : int or pair of int
        As for the pooling.
    output_size : int or pair of int, optional
        The (height, width) before the pooling.  By default `strides` times the input's, and with
        `padding="valid"` what the windows cover.  Both 7 and 8 pool to 4: for 7, say so.
        Rows and columns that no window covered become zeros.
    strides, data_format
        As for the pooling.
    padding : {"same", "valid"}, optional
        As for the pooling.  By default either, as `output_size` has it.
    **kwargs
        As for any Keras layer: `name`, `dtype`.

    Notes
    -----
    Input: a list of two, the values and their indices as `MaxPoolingWithArgmax2D` gives them,
    each (batch, h, w, channels).  Output: (batch, height, width, channels).

    Where windows overlap, several may have chosen the same pixel.  The value is put there once,
    and one of the windows gets its gradient.

    An index counts in an image of the output's size, and lies in its value's own window.  Called
    eagerly, the layer checks that.  Compiled (`tf.function`, `fit`, `jax.jit`) it can't: there a
    value with a wrong index is dropped.

    Raises
    ------
    ValueError
        A parameter is not an allowed one, the input is not a list of two tensors of equal shape,
        no image of `output_size` pools to the input, or an index lies outside its value's window.

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

    def __init__(
        self,
        pool_size: Size = 2,
        output_size: Size | None = None,
        strides: Size | None = None,
        padding: str | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        if padding is not None:
            _check_choice("padding", padding, PADDING)
        super().__init__(pool_size, strides, padding, data_format, **kwargs)
        self.output_size = None if output_size is None else pair("output_size", output_size)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the layer again."""
        return {**super().get_config(), "output_size": self.output_size}

    def call(self, inputs: Any) -> Any:
        """Unpool `inputs`, the values and their indices."""
        self.compute_output_spec(inputs)
        pooled, argmax = (self._channels_last(x) for x in inputs)
        pooled, argmax = ops.cast(pooled, self.compute_dtype), ops.cast(argmax, "int32")
        size = self.output_size or unpooled_size(shape_of(pooled)[1:3], self.windows)
        _check_places(argmax, self.windows, size)
        return self._own_layout(pooling.unpool(pooled, argmax, self.windows, size))

    def compute_output_shape(self, input_shape: tuple[Shape, Shape]) -> Shape:
        """Return the shape of the unpooled images."""
        pooled, argmax = (tuple(shape) for shape in input_shape)
        if len(pooled) != len(argmax) or any(map(_differ, pooled, argmax)):
            raise ValueError(f"argmax must have the shape of the values, {pooled}, got {argmax}")
        batch, *count, channels = self._image_shape("pooled", pooled)
        size = self.output_size or unpooled_size(count, self.windows)
        check_size(count, self.windows, size, (self.padding,) if self.padding else PADDING)
        return self._own_shape(batch, size, channels)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Return the shape and dtype of the output, as Keras asks it."""
        if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
            raise ValueError(
                f"the input must be a list of two tensors, [pooled, argmax], got {_kind(inputs)}"
            )
        pooled, argmax = inputs
        dtype = keras.backend.standardize_dtype(argmax.dtype)
        if "int" not in dtype:
            raise ValueError(f"argmax must have whole numbers (int32), got dtype {dtype}")
        shape = self.compute_output_shape((pooled.shape, argmax.shape))
        return keras.KerasTensor(shape, self.compute_dtype)


@keras.saving.register_keras_serializable(package="cae_lessons")
class ZeroFillUnpooling2D(_ImageLayer):
    """Enlarge without knowing where: each value to the top left of its block, zeros elsewhere.

    Parameters
    ----------
    pool_size : int or pair of int
        The height and width of a block.
    data_format : {"channels_last", "channels_first"}, optional
        By default what `keras.config.image_data_format()` says.
    **kwargs
        As for any Keras layer: `name`, `dtype`.

    Notes
    -----
    Input: (batch, h, w, channels); integers become floats.
    Output: (batch, h · pool, w · pool, channels).
    With `"channels_first"` both have their channels after the batch.

    Raises
    ------
    ValueError
        A parameter is not an allowed one, or the input doesn't have four axes.

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

    def call(self, x: Any) -> Any:
        """Unpool `x`."""
        self.compute_output_shape(x.shape)
        x = self._channels_last(ops.cast(x, self.compute_dtype))
        _, height, width, channels = shape_of(x)
        rows, columns = self.pool_size
        # Zeros after each value's channels, and rows of zeros: to spread and mask is slower.
        x = ops.reshape(x, (-1, 1, width, channels))
        x = ops.pad(x, [(0, 0), (0, rows - 1), (0, 0), (0, (columns - 1) * channels)])
        return self._own_layout(ops.reshape(x, (-1, height * rows, width * columns, channels)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the unpooled images."""
        batch, *count, channels = self._image_shape("x", input_shape)
        windows = Windows(self.pool_size, self.pool_size, "same")
        return self._own_shape(batch, unpooled_size(count, windows), channels)

    def compute_output_spec(self, x: Any) -> keras.KerasTensor:
        """Return the shape and dtype of the output, as Keras asks it."""
        return keras.KerasTensor(self.compute_output_shape(x.shape), self.compute_dtype)


def to_tensorflow_indices(indices: Any, convention: str, size: Size) -> np.ndarray:
    """Convert argmax indices to TensorFlow's convention, which the layers here use.

    =================  ======  ==============================================  ===============
    convention         layout  index                                           counts within
    =================  ======  ==============================================  ===============
    tensorflow         NHWC    (y · width + x) · channels + c                  one image
    tensorflow-batch   NHWC    ((n · height + y) · width + x) · channels + c   the whole batch
    pytorch            NCHW    y · width + x                                   one plane
    onnx               NCHW    ((n · channels + c) · height + y) · width + x   the whole batch
    onnx-column-major  NCHW    ((n · channels + c) · width + x) · height + y   the whole batch
    =================  ======  ==============================================  ===============

    TensorFlow's two are those of `include_batch_in_index=False` and `True`, ONNX's those of
    `storage_order=0` and `1`.

    Parameters
    ----------
    indices : array_like
        Whole numbers with four axes, in the convention's layout.
    convention : str
        The indices' own, from the table.
    size : int or pair of int
        The (height, width) of the images before the pooling, where the indices point.

    Returns
    -------
    numpy.ndarray
        int64, NHWC.

    Raises
    ------
    ValueError
        A parameter is not an allowed one, or an index points outside its plane.

    Examples
    --------
    >>> indices = np.reshape([5, 7, 13, 15], (1, 1, 2, 2)).repeat(2, axis=1)  # two channels
    >>> to_tensorflow_indices(indices, "pytorch", (4, 4)).tolist()
    [[[[10, 11], [14, 15]], [[26, 27], [30, 31]]]]
    """
    return _convert(indices, convention, "tensorflow", size)


def from_tensorflow_indices(indices: Any, convention: str, size: Size) -> np.ndarray:
    """Convert argmax indices from TensorFlow's convention: undo `to_tensorflow_indices`.

    Parameters
    ----------
    indices : array_like
        Whole numbers with four axes, NHWC.
    convention : str
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


def _differ(one: int | None, other: int | None) -> bool:
    return None not in (one, other) and one != other


def _kind(inputs: Any) -> str:
    if isinstance(inputs, (list, tuple)):
        return f"{len(inputs)} of them"
    return f"one of shape {tuple(inputs.shape)}"


def _check_choice(name: str, value: Any, choices) -> None:
    if value not in tuple(choices):
        allowed = ", ".join(map(repr, choices))
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}")


def _vouch(argmax, windows: Windows, size) -> None:
    """Note on indices that they are right for some windows: to check them again takes long."""
    with contextlib.suppress(AttributeError):  # JAX's arrays take no notes
        argmax._cae_lessons_places = (windows, tuple(size), _version(argmax))


def _version(tensor):
    """Return the number of changes that were made to a PyTorch tensor; others don't change."""
    return getattr(tensor, "_version", 0)


def _check_places(argmax, windows: Windows, size) -> None:
    """Raise for an index outside its value's window, where there are values yet to check."""
    noted = getattr(argmax, "_cae_lessons_places", None)
    if noted == (windows, tuple(size), _version(argmax)):
        return
    inside: Any = ops.sum(ops.cast(reference.in_own_window(argmax, windows, size), "int32"))
    try:
        found = operator.index(inside)
    except TypeError:  # compiled
        return
    count = math.prod(argmax.shape)
    if found < count:
        height, width = map(int, size)
        raise ValueError(
            f"each index in argmax must point into its own value's window of a {height} × {width} "
            f"image with {argmax.shape[-1]} channels, but {count - found} of the {count} don't.  "
            "This has three usual causes.  The size of the images is not a multiple of the pool "
            "size: then give the layer output_size=(height, width).  The indices count through "
            "the whole batch (include_batch_in_index=True): then convert them by "
            "to_tensorflow_indices(argmax, 'tensorflow-batch', size).  Or the indices come from "
            "the pooling of images of another size"
        )


def _convert(indices, source, target, size):
    height, width = pair("size", size)
    nhwc = _move_channels(_check_indices(indices), source, 1, -1)
    step, start = _step_and_start(source, nhwc.shape, height * width)
    place, rest = np.divmod(nhwc - start, step)  # in its plane
    if np.any(rest) or np.any((place < 0) | (place >= height * width)):
        raise ValueError(
            f"indices must point into their own plane of {height} × {width} by the convention "
            f"{source!r}, got others"
        )
    if source == "onnx-column-major":
        place = _transposed(place, height, width)
    if target == "onnx-column-major":
        place = _transposed(place, width, height)
    step, start = _step_and_start(target, nhwc.shape, height * width)
    return _move_channels(place * step + start, target, -1, 1)


def _check_indices(indices):
    indices = np.asarray(indices)
    if indices.ndim != 4 or not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(
            f"indices must have 4 axes and whole numbers, got {indices.ndim} axes and dtype "
            f"{indices.dtype}"
        )
    return indices.astype(np.int64)


def _move_channels(indices, convention, source, target):
    in_place = str(convention).startswith("tensorflow")
    return indices if in_place else np.moveaxis(indices, source, target)


def _transposed(place, length, other):
    """Return places that count along columns of a length as places that count along rows."""
    x, y = np.divmod(place, length)
    return y * other + x


def _step_and_start(convention, shape, plane_size):
    """Return what an index grows by from place to place, and what it starts at in each plane."""
    channels = shape[-1]
    image, channel = np.arange(shape[0]).reshape(-1, 1, 1, 1), np.arange(channels)
    planes_before = (image * channels + channel) * plane_size
    steps_and_starts = {
        "tensorflow": (channels, channel),
        "tensorflow-batch": (channels, image * plane_size * channels + channel),
        "pytorch": (1, 0),
        "onnx": (1, planes_before),
        "onnx-column-major": (1, planes_before),
    }
    _check_choice("convention", convention, steps_and_starts)
    return steps_and_starts[convention]
