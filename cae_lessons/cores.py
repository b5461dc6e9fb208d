"""How training and evaluation use the machine's cores: parts of the images side by side.

TensorFlow spreads each operation over all cores.  The operations of small nets are too short for
that: on two cores, a training step takes about as long as on one.  Two halves of a batch, each with
operations of one thread, have no such waits.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import keras

from cae_lessons.tracing import named_layers

__all__ = ["parts_of_a_batch", "prefer_one_thread_per_operation", "side_by_side"]

# With fewer images in a part, its operations lose more than another core brings.
LEAST_IMAGES = 15
# The layers of Keras and of the package that treat each image by itself and remember nothing.
BY_IMAGE = {
    "Activation",
    "Add",
    "Average",
    "AveragePooling2D",
    "Concatenate",
    "Conv2D",
    "Conv2DTranspose",
    "Cropping2D",
    "Dense",
    "DepthwiseConv2D",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "GroupNormalization",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPooling2D",
    "MaxPoolingWithArgmax2D",
    "MaxUnpooling2D",
    "Multiply",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SeparableConv2D",
    "Subtract",
    "UpSampling2D",
    "ZeroFillUnpooling2D",
    "ZeroPadding2D",
    "_FoldedConvolution",
}


def prefer_one_thread_per_operation() -> None:
    """Give each of TensorFlow's operations one thread, where that was measured to pay.

    That is on two cores without a GPU.  It only works before TensorFlow's first operation, and
    isn't done where the number of threads was chosen already, by `TF_NUM_INTRAOP_THREADS` or by
    `tf.config.threading`.  The package calls it when it is imported.
    """
    if keras.backend.backend() != "tensorflow" or _cores() != 2:
        return
    import tensorflow as tf

    if _threads("intra") or tf.config.list_physical_devices("GPU"):
        return
    with contextlib.suppress(RuntimeError):  # TensorFlow is running already
        tf.config.threading.set_intra_op_parallelism_threads(1)


def parts_of_a_batch(model: keras.Model, batch_size: int | None) -> int:
    """Return into how many parts a training step should divide its batch.

    Parameters
    ----------
    model : keras.Model
    batch_size : int or None
        None where it isn't known.

    Returns
    -------
    int
        1 unless TensorFlow's operations have one thread each, and the layers treat each image by
        itself: batch normalisation looks at the whole batch, and the package can't know what a
        layer of somebody else's does.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> parts_of_a_batch(strided_autoencoder(), batch_size=20)
    1
    """
    by_image = _treats_each_image_by_itself(model)
    return max(1, min(_workers(), (batch_size or 0) // LEAST_IMAGES)) if by_image else 1


def side_by_side(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Yield a function's results in order, computed on all cores if operations have one thread.

    Parameters
    ----------
    function : callable
        The first item's call ends before the others begin, as a model may build itself in it.
    items : iterable

    Examples
    --------
    >>> list(side_by_side(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    items, workers = iter(items), _workers()
    yield from map(function, islice(items, 1))
    with ThreadPoolExecutor(workers) as pool:
        while wave := list(islice(items, workers)):  # so that few results are held at once
            yield from pool.map(function, wave)


def _workers():
    """Return how many parts may run at once: TensorFlow's threads, where operations have one."""
    if keras.backend.backend() != "tensorflow" or _threads("intra") != 1:
        return 1
    return min(_threads("inter") or _cores(), _cores())


def _threads(kind):
    """Return how many threads TensorFlow was told to use, 0 if it may choose."""
    import tensorflow as tf

    chosen = getattr(tf.config.threading, f"get_{kind}_op_parallelism_threads")()
    given = os.environ.get(f"TF_NUM_{kind.upper()}OP_THREADS", "")
    return chosen or (int(given) if given.isdecimal() else 0)


def _cores():
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _treats_each_image_by_itself(model):
    layers = [model, *(layer for layer, _ in named_layers(model).values())]
    return all(_is_known(layer) for layer in layers)


def _is_known(layer):
    package = type(layer).__module__.split(".")[0]
    if isinstance(layer, keras.Model):
        return package == "keras"  # functional or sequential, without code of its own
    activation = getattr(layer, "activation", None)
    return (
        type(layer).__name__ in BY_IMAGE
        and package in ("keras", "cae_lessons")
        and getattr(layer, "activity_regularizer", None) is None
        and (activation is None or _package_of(activation) == "keras")
    )


def _package_of(function):
    return getattr(function, "__module__", type(function).__module__).split(".")[0]
