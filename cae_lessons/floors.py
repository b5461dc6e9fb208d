"""What no training can beat: the lowest mean squared error of a restricted picture."""

import operator
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from cae_lessons.batches import in_parts
from cae_lessons.layers import corner_mask, pair, same_margins
from cae_lessons.mnist import check_images, takes_images


@takes_images
def all_black(images: ArrayLike) -> float:
    """Return the loss of a net whose every output is 0: E[x²].

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).

    Returns
    -------
    float
        The mean squared error of black pictures.

    Raises
    ------
    ValueError
        `images` isn't such an array.

    Examples
    --------
    >>> all_black(np.full((1, 2, 2, 1), 0.5))
    0.25
    """
    return _mean(images, _square)


@takes_images
def constant(images: ArrayLike) -> float:
    """Return the lowest loss of one grey for every pixel of every picture: Var[x].

    Among constants c, E[(x − c)²] is least at c = E[x], where it is the variance.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).

    Returns
    -------
    float
        The variance over all pixels of all images.

    Raises
    ------
    ValueError
        `images` isn't such an array.

    Examples
    --------
    >>> constant(np.array([0.0, 1.0]).reshape(1, 1, 2, 1))
    0.25
    """
    mean = _mean(images, np.float64)
    return _mean(images, lambda part: _square(np.subtract(part, mean, dtype=np.float64)))


@takes_images
def mean_image(images: ArrayLike) -> float:
    """Return the lowest loss of one picture for all images: the variance about their mean.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).

    Returns
    -------
    float
        The variance of each pixel over the images, averaged over the pixels.

    Raises
    ------
    ValueError
        `images` isn't such an array.

    Examples
    --------
    >>> mean_image(np.array([[0.0, 0.0], [0.0, 1.0]]).reshape(2, 1, 2, 1))
    0.125
    """
    mean = mean_of(images)
    return _mean(images, lambda part: _square(part - mean))


def mean_of(images: np.ndarray) -> np.ndarray:
    """Return the mean image.

    Parameters
    ----------
    images : array_like
        Shape (n, height, width, channels).

    Returns
    -------
    numpy.ndarray
        float64, shape (height, width, channels).

    Examples
    --------
    >>> mean_of(np.array([[0.0, 0.0], [0.0, 1.0]]).reshape(2, 1, 2, 1)).ravel()
    array([0. , 0.5])
    """
    parts = (images[part] for part in in_parts(len(images)))
    return sum(part.sum(axis=0, dtype=np.float64) for part in parts) / len(images)


@takes_images
def zero_fill(images: ArrayLike, pool_size: int | tuple[int, int] = 2) -> float:
    """Return the lowest loss of pictures that come from zero-fill unpooling.

    Zero-fill leaves every pixel black but the top left of each block.  There the picture can be
    perfect; elsewhere it loses x².  So the floor is E[x² off the corners].

    It isn't a floor for zero-filled *logits*: their sigmoid turns the zeros into ½.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).
    pool_size : int or pair of int
        The height and width of a block.

    Returns
    -------
    float
        The mean squared error of the images with all but the corners black.

    Raises
    ------
    ValueError
        `images` isn't such an array, or `pool_size` isn't such a size.

    Examples
    --------
    >>> zero_fill(np.ones((1, 4, 4, 1)))
    0.75
    """
    missed = ~corner_mask(images.shape[1:3], pool_size)
    return _mean(images, lambda part: _square(part * missed))


@takes_images
def nearest(images: ArrayLike, pool_size: int | tuple[int, int] = 2) -> float:
    """Return the lowest loss of pictures that come from nearest-neighbour unpooling.

    Such a picture has one grey in each block.  The best grey is the block's mean, and what is
    left is the variance within the blocks.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).  Blocks that overhang the image at
        the right or at the bottom count with the pixels that they have.
    pool_size : int or pair of int
        The height and width of a block.

    Returns
    -------
    float
        The mean squared error of the images with each block at its mean.

    Raises
    ------
    ValueError
        `images` isn't such an array, or `pool_size` isn't such a size.

    Examples
    --------
    >>> nearest(np.array([[0.0, 1.0], [0.0, 1.0]]).reshape(1, 2, 2, 1))
    0.25
    """
    step = pair("pool_size", pool_size)
    margins = [(0, -size % pool) for size, pool in zip(images.shape[1:3], step, strict=True)]

    def within_blocks(part):
        blocks = _blocks(part, step, margins, fill=np.nan)
        return np.nan_to_num(_square(blocks - np.nanmean(blocks, axis=(2, 4), keepdims=True)))

    return _mean(images, within_blocks)


@takes_images
def argmax(images: ArrayLike, pool_size: int | tuple[int, int] = 2) -> float:
    """Return the lowest loss of pictures with one value per block, wherever it is best placed.

    That is what argmax unpooling gives as a last layer.  The best place is the block's brightest
    pixel; all others are lost, each with its x².

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).
    pool_size : int or pair of int
        The height and width of a block.

    Returns
    -------
    float
        The mean squared error of the images with all but each block's brightest pixel black.
        Where blocks overhang the image, they do so as in `layers.MaxPoolingWithArgmax2D`.

    Raises
    ------
    ValueError
        `images` isn't such an array, or `pool_size` isn't such a size.

    Examples
    --------
    >>> argmax(np.array([[0.0, 1.0], [0.5, 0.0]]).reshape(1, 2, 2, 1))
    0.0625
    """
    step = pair("pool_size", pool_size)
    margins = [same_margins(*axis) for axis in zip(images.shape[1:3], step, strict=True)]

    def all_but_the_brightest(part):
        squares = _square(_blocks(part, step, margins, fill=0))
        in_block = np.moveaxis(squares, (2, 4), (-2, -1)).reshape(-1, step[0] * step[1])
        return np.sort(in_block)[:, :-1]

    return _mean(images, all_but_the_brightest)


@takes_images
def linear(
    train_images: ArrayLike, images: ArrayLike, code_size: int | Sequence[int]
) -> float | np.ndarray:
    """Return the loss of the best linear autoencoder with a code of a given size, that is, PCA.

    Of all linear encoders and decoders, biases included, none has a lower mean squared error on
    the images it was trained on than the projection on their first principal components, about
    their mean.  So this is a floor where `images` are the training images.  On other images it is
    the loss of that best linear autoencoder.

    Parameters
    ----------
    train_images : array_like
        Floats in [0, 1], shape (n, height, width, channels): what the components are taken from.
    images : array_like
        The images whose loss is measured, of the same height, width and channels.
    code_size : int or sequence of int
        The number of components, from 0 (the mean image alone) to the number of values in an
        image, height · width · channels (nothing is lost).  Several take no longer than one.

    Returns
    -------
    float or numpy.ndarray
        The mean squared error of the images' projections; for several sizes, one for each.

    Raises
    ------
    ValueError
        `train_images` or `images` isn't such an array, their images differ in shape, or
        `code_size` isn't such a number.

    Notes
    -----
    Exact up to rounding.  The covariance of all pixels is held at once: for d values in an image
    d² numbers, 5 MB for 28 × 28.

    References
    ----------
    Eckart and Young, "The approximation of one matrix by another of lower rank", 1936.  Baldi and
    Hornik, "Neural networks and principal component analysis: learning from examples without
    local minima", 1989.

    Examples
    --------
    >>> line = np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]).reshape(3, 1, 2, 1)
    >>> linear(line, line, [0, 1]).round(6).tolist()  # two equal pixels, one number
    [0.166667, 0.0]
    """
    images = check_images(images)
    shape = train_images.shape[1:]
    if images.shape[1:] != shape:
        raise ValueError(
            f"images must have the shape of train_images, {shape}, got {images.shape[1:]}"
        )
    several = np.ndim(code_size) == 1
    sizes = code_size if several else [code_size]
    checked = [_code_size(size, int(np.prod(shape))) for size in sizes]
    mean = mean_of(train_images)
    components = _components(train_images, mean)
    parts = (_flat(images[part] - mean) for part in in_parts(len(images)))
    along_each = sum(_square(part @ components).sum(axis=0) for part in parts) / images.size
    # The components are orthonormal: the squared error is what lies along those left out.
    left_out = np.array([along_each[size:].sum() for size in checked])
    return left_out if several else float(left_out[0])


@takes_images
def principal_components(images: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean image and all principal components, those with the largest variance first.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).

    Returns
    -------
    mean : numpy.ndarray
        float64, shape (height, width, channels).
    components : numpy.ndarray
        float64, shape (d, d) for the d = height · width · channels values of an image: each
        *column* is a component, of length 1.  The code of k numbers of an image x, as a row of d
        values, is (x − mean) @ components[:, :k].

    Raises
    ------
    ValueError
        `images` isn't such an array.

    Examples
    --------
    >>> line = np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]).reshape(3, 1, 2, 1)
    >>> mean, components = principal_components(line)
    >>> mean.ravel().tolist(), np.abs(components[:, 0]).round(3).tolist()
    ([0.5, 0.5], [0.707, 0.707])
    """
    mean = mean_of(images)
    return mean, _components(images, mean)


def best_linear_map(inputs: ArrayLike, targets: ArrayLike) -> Callable[[ArrayLike], np.ndarray]:
    """Return the map from inputs to targets, linear but for a bias, with the least squared error.

    On the images it was made from, no net that is linear in its input gets a lower mean squared
    error.  With noisy inputs and clean targets it is the best linear denoiser.

    Parameters
    ----------
    inputs : array_like
        Floats, shape (n, height, width, channels).
    targets : array_like
        Floats of the same shape: what the map should make of each input.

    Returns
    -------
    callable
        From inputs, shape (m, height, width, channels), to pictures, float64, of the same shape.
        They may leave [0, 1].

    Raises
    ------
    ValueError
        The inputs and targets differ in shape.

    Notes
    -----
    Exact up to rounding: the normal equations, solved by least squares, so that pixels that are
    always equal do no harm.

    References
    ----------
    Wiener, "Extrapolation, interpolation, and smoothing of stationary time series", 1949.

    Examples
    --------
    >>> x = np.array([0.0, 0.5, 1.0]).reshape(3, 1, 1, 1)
    >>> best_linear_map(x, 1 - x)(x).ravel().round(6).tolist()
    [1.0, 0.5, 0.0]
    """
    inputs, targets = np.asarray(inputs), np.asarray(targets)
    if inputs.shape != targets.shape or inputs.ndim != 4:
        raise ValueError(
            "inputs and targets must have the same shape (n, height, width, channels), got "
            f"{inputs.shape} and {targets.shape}"
        )
    mean_input, mean_target = mean_of(inputs), mean_of(targets)
    within = across = 0
    for part in in_parts(len(inputs)):
        x, y = _flat(inputs[part] - mean_input), _flat(targets[part] - mean_target)
        within, across = within + x.T @ x, across + x.T @ y
    matrix = np.linalg.lstsq(within, across)[0]

    def apply(images):
        images = np.asarray(images)
        return (_flat(images - mean_input) @ matrix).reshape(images.shape) + mean_target

    return apply


@takes_images
def cross_entropy(images: ArrayLike, lowest: float = 0.0, highest: float = 1.0) -> float:
    """Return the lowest binary cross-entropy of probabilities between two limits, in nats.

    For a pixel x the cross-entropy −x ln p − (1 − x) ln(1 − p) is least at p = x, where it is the
    entropy of x: above 0 for every grey.  It grows with the distance from x on either side, so
    that the best allowed p is x moved to the nearer limit.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).
    lowest, highest : float
        The limits of p, 0 ≤ lowest ≤ highest ≤ 1.

    Returns
    -------
    float
        The cross-entropy, averaged over all pixels; infinite where p = 0 or 1 is forced on
        another x.

    Raises
    ------
    ValueError
        `images` isn't such an array, or the limits are out of order.

    Examples
    --------
    >>> round(cross_entropy(np.full((1, 1, 1, 1), 0.5)), 6)  # ln 2
    0.693147
    """
    if not 0 <= lowest <= highest <= 1:
        raise ValueError(
            f"the limits must be in order, 0 ≤ lowest ≤ highest ≤ 1, got {lowest:g} and {highest:g}"
        )

    def of_the_best(part):
        part = part.astype(np.float64)
        best = np.clip(part, lowest, highest)
        return _times_log(part, best) + _times_log(1 - part, 1 - best)

    return _mean(images, of_the_best)


@takes_images
def cross_entropy_relu_logits(images: ArrayLike) -> float:
    """Return the lowest binary cross-entropy of a relu taken as logits, in nats.

    A relu is never below 0, and the sigmoid of 0 is ½: no pixel can get a probability below ½.
    A black one costs ln 2 however long the training.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).

    Returns
    -------
    float
        The cross-entropy, averaged over all pixels.

    Raises
    ------
    ValueError
        `images` isn't such an array.

    Examples
    --------
    >>> round(cross_entropy_relu_logits(np.zeros((1, 1, 1, 1))), 6)  # ln 2
    0.693147
    """
    return cross_entropy.unchecked(images, lowest=0.5)


@takes_images
def cross_entropy_double_sigmoid(images: ArrayLike) -> float:
    """Return the lowest binary cross-entropy of a sigmoid's output taken as logits, in nats.

    The first sigmoid gives numbers from 0 to 1; the second makes of them ½ to 0.731.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).

    Returns
    -------
    float
        The cross-entropy, averaged over all pixels.

    Raises
    ------
    ValueError
        `images` isn't such an array.

    Examples
    --------
    >>> round(cross_entropy_double_sigmoid(np.ones((1, 1, 1, 1))), 6)
    0.313262
    """
    return cross_entropy.unchecked(images, lowest=0.5, highest=1 / (1 + np.exp(-1)))


def peak_signal_to_noise_ratio(loss: float) -> float:
    """Return a mean squared error of pixels in [0, 1] as a peak signal-to-noise ratio.

    Parameters
    ----------
    loss : float
        Mean squared error, above 0.

    Returns
    -------
    float
        −10 log₁₀(loss), in decibels.

    Examples
    --------
    >>> peak_signal_to_noise_ratio(0.001)
    30.0
    """
    return float(-10 * np.log10(loss))


def sum_per_image(loss: float, images: ArrayLike) -> float:
    """Convert a loss that is a mean over pixels into a sum over the pixels of one image.

    Parameters
    ----------
    loss : float
        Averaged over all pixels of all images.
    images : array_like
        Shape (n, height, width, channels).

    Returns
    -------
    float
        The loss that tutorials report if they add up over the pixels and average over the images.

    Examples
    --------
    >>> sum_per_image(0.5, np.zeros((3, 2, 2, 1)))
    2.0
    """
    return float(loss * np.prod(np.shape(images)[1:]))


def _mean(images, loss):
    """Average over all pixels, part by part, so that memory use doesn't grow with the images."""
    parts = (images[part] for part in in_parts(len(images)))
    return sum(float(np.sum(loss(part), dtype=np.float64)) for part in parts) / images.size


def _code_size(value, most):
    try:
        size = operator.index(value)
    except TypeError:
        size = -1
    if isinstance(value, bool) or not 0 <= size <= most:
        raise ValueError(
            f"code_size must be a whole number from 0 to {most}, the number of values in an "
            f"image, got {value!r}"
        )
    return size


def _components(images, mean):
    """Return the principal components as columns, the one with the largest variance first."""
    parts = (_flat(images[part] - mean) for part in in_parts(len(images)))
    covariance = sum(part.T @ part for part in parts)
    return np.linalg.eigh(covariance)[1][:, ::-1]


def _flat(part):
    return part.reshape(len(part), -1)


def _square(x):
    return np.square(x, dtype=np.float64)


def _times_log(weight, probability):
    """Return −weight · ln(probability), 0 where the weight is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight == 0, 0, -weight * np.log(probability))


def _blocks(images, step, margins, fill):
    """Cut images into blocks: (n, rows, pool height, columns, pool width, channels)."""
    padding = [(0, 0), *margins, (0, 0)]
    padded = np.pad(images.astype(np.float64), padding, constant_values=fill)
    count, height, width, channels = padded.shape
    return padded.reshape(count, height // step[0], step[0], width // step[1], step[1], channels)
