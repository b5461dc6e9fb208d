"""Images and targets in batches: arrays in an order that a seed decides, a data set in its own."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from keras import ops, tree
from numpy.typing import ArrayLike

from cae_lessons.cores import side_by_side
from cae_lessons.mnist import check_images

# With targets of their own, images may be noisy: the noise may leave [0, 1], but not so far that
# 0 to 255 would pass.
NOISE_MARGIN = 10.0


class DataSet(Protocol):
    """A `tf.data.Dataset`, which can be told from an array by its `element_spec`."""

    @property
    def element_spec(self) -> Any:
        """The shapes and dtypes of what it yields."""


def checked_pairs(
    model: Any, images: ArrayLike | DataSet, targets: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Check images and targets at the door, as the model expects them.

    Parameters
    ----------
    model : keras.Model or None
    images : array_like or tf.data.Dataset
        Images, or a finite data set of images, or of pairs of images and targets.
    targets : array_like, optional

    Returns
    -------
    images, targets : numpy.ndarray
        float32; without targets, both are the images.

    Raises
    ------
    ValueError
        As `train`.
    """
    if hasattr(images, "element_spec"):
        images, targets = _collect(images, targets)
    shape = None if model is None else input_shape(model)
    if targets is None:
        images = check_images(images, shape)
        return images, images
    images = check_images(images, shape, NOISE_MARGIN)
    return images, _check_targets(targets, images)


def input_shape(model: Any) -> tuple[int | None, ...] | None:
    """Return the shape of the images that a model expects; None where it takes any.

    Raises
    ------
    ValueError
        The model has several inputs.

    Examples
    --------
    >>> import keras
    >>> input_shape(keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 3)]))
    (None, None, 3)
    """
    try:
        inputs = tree.flatten(model.inputs)
    except (AttributeError, ValueError):  # subclassed, or not built yet
        return None
    if not inputs or inputs[0] is None:
        return None
    if len(inputs) > 1:
        raise ValueError(f"{model.name} has {len(inputs)} inputs, an autoencoder must have one")
    return tuple(inputs[0].shape[1:])


def in_parts(count: int, size: int = 500) -> Iterator[slice]:
    """Yield slices that cut `count` things into parts of at most `size`.

    Examples
    --------
    >>> list(in_parts(5, 3))
    [slice(0, 3, None), slice(3, 6, None)]
    """
    for start in range(0, count, size):
        yield slice(start, start + size)


def run_in_batches(model: Callable, images: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """Return a model's output for many images without holding all its layers' maps at once.

    Parameters
    ----------
    model : keras.Model or keras.Layer
        With one output.
    images : numpy.ndarray
        Shape (n, …), as the model expects them.
    batch_size : int

    Returns
    -------
    numpy.ndarray
        Shape (n, …).

    Notes
    -----
    Eager on purpose: `model.predict` compiles each new model first, which takes longer than
    10,000 images do.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> run_in_batches(strided_autoencoder(), np.zeros((2, 28, 28, 1), "float32")).shape
    (2, 28, 28, 1)
    """

    def outputs(part):
        return ops.convert_to_numpy(model(images[part], training=False))

    return np.concatenate(list(side_by_side(outputs, in_parts(len(images), batch_size))))


class ArraySource:
    """Batches of arrays, shuffled anew for each pass.

    Parameters
    ----------
    images, targets : numpy.ndarray
        Checked; for an autoencoder one and the same.
    steps, batch_size, seed : int

    Attributes
    ----------
    batches : numpy.ndarray
        One row a step, what `take` needs.
    batch_size : int
        That of the first batch.
    first : tuple of numpy.ndarray
        A few of the first batch's images and targets.
    """

    def __init__(
        self, images: np.ndarray, targets: np.ndarray, steps: int, batch_size: int, seed: int
    ):
        import tensorflow as tf

        self.batches: np.ndarray = shuffled(len(images), steps, batch_size, seed)
        self.batch_size: int = batch_size
        some = self.batches[0][:8]
        self.first: tuple[np.ndarray, ...] = images[some], targets[some]
        self._images = tf.constant(images)
        self._targets = self._images if targets is images else tf.constant(targets)

    def take(self, batch: Any) -> tuple[Any, Any]:
        """Return a batch's images and targets."""
        import tensorflow as tf

        return tf.gather(self._images, batch), tf.gather(self._targets, batch)


class DataSetSource:
    """Batches of a data set, which starts again when it ends.

    Parameters
    ----------
    data_set : tf.data.Dataset
        Of images, or of pairs of images and targets.
    steps, batch_size : int
        The batch size counts where the data set yields single images.
    done : int
        How many steps an earlier run has taken.

    Attributes
    ----------
    batches, batch_size, first
        As those of `ArraySource`.
    """

    def __init__(self, data_set: Any, steps: int, batch_size: int, done: int):
        pairs = _as_pairs(data_set, batch_size)
        self.batches: np.ndarray = np.zeros((steps, 1), int)  # the data set counts for itself
        first = [part.numpy() for part in _first(pairs)]
        self.batch_size: int = len(first[0])
        self.first: tuple[np.ndarray, ...] = tuple(part[:8] for part in first)
        self._iterator = iter(pairs.repeat().skip(done))

    def take(self, batch: Any) -> tuple[Any, Any]:
        """Return the next batch's images and targets."""
        return next(self._iterator)


def shuffled(count: int, steps: int, batch_size: int, seed: int) -> np.ndarray:
    """Return the indices of each step's batch, shape (steps, batch_size).

    A pass starts where the one before it ended, within a batch if need be, as TensorFlow 1's
    reader did it: every image is used equally often.
    """
    generator = np.random.default_rng(seed)
    passes = -(-steps * batch_size // count)
    order = np.concatenate([generator.permutation(count) for _ in range(passes)])
    return order[: steps * batch_size].reshape(steps, batch_size)


def _check_targets(targets, images):
    try:
        targets = check_images(targets)
    except ValueError as error:
        raise ValueError(str(error).replace("images", "targets")) from None
    if len(targets) != len(images):
        raise ValueError(f"{len(targets):,} targets for {len(images):,} images: each needs one")
    return targets


def _as_pairs(data_set, batch_size):
    """Return a data set of batches of pairs, whatever it yields."""
    spec = data_set.element_spec
    if not isinstance(spec, tuple):
        data_set, spec = data_set.map(lambda images: (images, images)), (spec, spec)
    if len(spec) != 2 or not all(hasattr(part, "shape") for part in spec):
        raise ValueError(f"the data set yields {spec}, must yield images or (images, targets)")
    if (spec[1].shape.rank or 4) < 3:
        raise ValueError(
            f"the data set yields images with labels of shape {spec[1].shape}, must yield images "
            "or (images, targets): dataset.map(lambda image, label: image)"
        )
    batches = data_set.batch(batch_size) if spec[0].shape.rank == 3 else data_set
    return _without_tuning(batches)


def _without_tuning(data_set):
    """Spare a data set the thread that tunes it: at its end it can hold the program for a minute.

    Measured with TensorFlow 2.21: of 60 iterators that had lived for 45 seconds, three took 37 to
    60 seconds to go away, and without that thread none took a third of a second.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return data_set.with_options(options)


def _first(pairs):
    for pair in pairs.take(1):
        return pair
    raise ValueError("the data set is empty")


def _collect(data_set, targets):
    """Return all that a finite data set yields, as arrays."""
    if targets is not None:
        raise ValueError("a data set yields its own targets: targets must be None")
    if data_set.cardinality().numpy() == -1:  # TensorFlow's number for "without end"
        raise ValueError("the data set has no end: take some of it, dataset.take(batches)")
    batches = [[part.numpy() for part in pair] for pair in _as_pairs(data_set, 500)]
    if not batches:
        raise ValueError("the data set is empty")
    images, targets = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    paired = isinstance(data_set.element_spec, tuple)
    return images, targets if paired else None
