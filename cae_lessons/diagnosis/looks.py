"""Single looks into a model: a layer's outputs, its receptive field, how it does in training."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from cae_lessons.batches import DataSet, checked_pairs, in_parts, input_shape
from cae_lessons.tracing import find_layer, watching
from cae_lessons.training import loss_of, need_tensorflow


def activations(model: keras.Model, images: ArrayLike | DataSet, layer: str) -> np.ndarray:
    """Return the outputs of one layer of a model for some images.

    Parameters
    ----------
    model : keras.Model
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).
    layer : str
        The layer's name, or its path in a nested model: `encoder/bottleneck`.

    Returns
    -------
    numpy.ndarray
        Shape (n, …), the layer's output shape; of several outputs the first.

    Raises
    ------
    ValueError
        `images` isn't valid, or the model has no layer of that name.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> activations(strided_autoencoder(), np.zeros((1, 28, 28, 1), "float32"), "code").shape
    (1, 7, 7, 32)
    """
    images, _ = checked_pairs(model, images)
    model(images[:1])  # a model that isn't built yet has no layers
    return _through(model, images, find_layer(model, layer), lambda inputs, outputs: outputs[0])


def receptive_field(
    model: keras.Model,
    layer: str,
    position: int | tuple[int, ...],
    image_shape: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """Tell which pixels of the image one unit of a layer sees.

    During the look all kernels hold positive numbers, so nothing cancels and no relu is dead.
    Then one pixel at a time is turned on: the unit sees those that change it.

    Parameters
    ----------
    model : keras.Model
    layer : str
        The layer's name.
    position : int or pair of int
        The unit's row and column in its map; in a dense layer, its number.
    image_shape : tuple of int, optional
        The (height, width, channels) of an image, for a model that takes any size.

    Returns
    -------
    numpy.ndarray
        bool, shape (height, width), the image's.

    Raises
    ------
    ValueError
        The model has no layer of that name, or takes any size and `image_shape` is missing.
    IndexError
        The position lies outside the map.

    Notes
    -----
    Behind an argmax unpooling, which pixels count depends on all the others; there only those
    are found that count on an otherwise black image.  With a normalisation over whole maps, such as
    group normalisation, every pixel of the image counts.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> int(receptive_field(strided_autoencoder(), "convolution_1", (7, 7)).sum())
    25
    """
    shape = image_shape or input_shape(model)
    if shape is None or None in shape:
        raise ValueError(f"{model.name} takes images of any size: image_shape must say which")
    height, width, channels = shape
    model(np.zeros((1, *shape), "float32"))  # a model that isn't built yet has no weights
    last, place = find_layer(model, layer), (slice(None), *np.atleast_1d(position))
    pixels = np.eye(height * width, dtype="float32").reshape(-1, height, width, 1)
    black = np.zeros((1, height, width, 1), "float32")
    images = np.concatenate([black, pixels]).repeat(channels, axis=-1)
    with _positive_weights(model):
        units = _through(model, images, last, lambda inputs, outputs: _numpy(outputs[0])[place])
    changed = (units != units[0]).reshape(len(units), -1).any(axis=-1)
    return changed[1:].reshape(height, width)


def pre_activations(model: keras.Model, images: ArrayLike | DataSet, layer: str) -> np.ndarray:
    """Return what a layer gives before its activation function.

    Parameters
    ----------
    model : keras.Model
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).
    layer : str
        The name of a layer that has an activation, a convolution for example.

    Returns
    -------
    numpy.ndarray
        Shape (n, …), the layer's output shape.

    Raises
    ------
    ValueError
        As `activations`, or the layer has no activation.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> z = pre_activations(strided_autoencoder(), np.ones((1, 28, 28, 1)), "code")
    >>> bool(z.min() < 0)
    True
    """
    images, _ = checked_pairs(model, images)
    model(images[:1])  # a model that isn't built yet has no layers
    last = find_layer(model, layer)
    if getattr(last, "activation", None) is None:
        raise ValueError(f"layer {layer!r} has no activation function")
    function, last.activation = last.activation, keras.activations.linear
    try:
        return _through(model, images, last, lambda inputs, outputs: outputs[0])
    finally:
        last.activation = function


def watch(
    model: keras.Model,
    images: ArrayLike | DataSet,
    layer: str,
    records: list[dict[str, Any]],
    loss: str = "mse",
) -> Callable[[int], None]:
    """Return a function for `train(before_step=…)` that records how a layer is doing.

    Parameters
    ----------
    model : keras.Model
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels): a batch to look at, the same at
        each step.
    layer : str
        The name of a layer with an activation and a kernel.
    records : list
        Gets one dict per step: `step`; `pre_activation`, five numbers, the least, the 5th, 50th
        and 95th percentile and the largest; `gradient`, the Euclidean norm of the loss' gradient
        with respect to the layer's kernel; `loss`, that of `images`.
    loss : {"mse", "bce"}
        As for `train`.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        As `pre_activations`, the layer has no kernel, or the loss is unknown.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder, train
    >>> images, records, model = np.ones((60, 28, 28, 1)), [], strided_autoencoder()
    >>> look = watch(model, images, "code", records)
    >>> run = train(model, images, steps=2, before_step=look)
    >>> [record["step"] for record in records]
    [0, 1]
    """
    tf = need_tensorflow("diagnosis.watch")
    images, _ = checked_pairs(model, images)
    model(images[:1])  # a model that isn't built yet has no layers
    kernel = getattr(find_layer(model, layer), "kernel", None)
    if kernel is None:
        raise ValueError(f"layer {layer!r} has no kernel")
    loss_function = loss_of(model, loss)

    def look(step):
        with tf.GradientTape() as tape:
            value = loss_function(images, model(images))
        gradient = tape.gradient(value, kernel)
        z = pre_activations(model, images, layer)
        records.append(
            {
                "step": step,
                "pre_activation": np.percentile(z, (0, 5, 50, 95, 100)),
                "gradient": float(tf.norm(gradient)),
                "loss": float(value),
            }
        )

    return look


def dead_maps(model: keras.Model, images: ArrayLike | DataSet, layer: str = "code") -> np.ndarray:
    """Tell which maps of a relu layer are dead: 0 everywhere, for every image.

    Parameters
    ----------
    model : keras.Model
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).
    layer : str
        The layer's name.

    Returns
    -------
    numpy.ndarray
        bool, shape (channels,); True where a map never rises above 0.

    Raises
    ------
    ValueError
        As `activations`.

    References
    ----------
    Lu, Shin, Su and Karniadakis, "Dying ReLU and initialization", 2020.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> dead_maps(strided_autoencoder(), np.ones((1, 28, 28, 1), "float32")).shape
    (32,)
    """
    alive = activations(model, images, layer).max(axis=0) > 0
    return ~alive.any(axis=tuple(range(alive.ndim - 1)))


def _through(model, images, layer, pick):
    """Run images through a model, and return what `pick` takes of one layer's calls."""
    picked = []

    def note(path, found, inputs, outputs):
        if found is layer:
            picked.append(_numpy(pick(inputs, outputs)))

    size = max(1, min(500, 400_000 // math.prod(images.shape[1:3])))
    with watching(model, note):
        for part in in_parts(len(images), size):
            model(images[part], training=False)
    if not picked:
        raise ValueError(f"layer {layer.name!r} isn't called when {model.name} is")
    return np.concatenate(picked)


@contextlib.contextmanager
def _positive_weights(model):
    """Give all kernels positive numbers, and have normalisations change nothing, for a while."""
    generator, before = np.random.default_rng(0), [_copy(each) for each in model.variables]
    try:
        for variable in model.variables:
            if "float" in str(variable.dtype):
                variable.assign(_positive(variable, generator))
        yield
    finally:
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)


def _numpy(values):
    return ops.convert_to_numpy(values)


def _copy(variable):
    return _numpy(variable.value).copy()


def _positive(variable, generator):
    """Return numbers of about 1 / fan-in, so that a deep net neither fades nor overflows."""
    shape = tuple(variable.shape)
    if len(shape) > 1:
        return generator.uniform(0.5, 1.5, shape) / math.prod(shape[:-1])
    return np.full(shape, float(variable.name in ("gamma", "scale", "moving_variance")))
