"""Images with noise on them, for nets that learn to take it away."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from cae_lessons.mnist import check_images, takes_images

if TYPE_CHECKING:
    from cae_lessons.batches import DataSet


@takes_images
def gaussian(
    images: ArrayLike, deviation: float, *, clip: bool = True, seed: int = 0
) -> np.ndarray:
    """Add a normal random number to each pixel.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).
    deviation : float
        The noise's standard deviation, 0 or more.
    clip : bool
        Whether values outside [0, 1] are moved to the nearer end, as a camera does.  This makes
        the noise smaller, and no longer independent of the image.
    seed : int
        The same seed gives the same noise.

    Returns
    -------
    numpy.ndarray
        float32, of the images' shape.

    Raises
    ------
    ValueError
        `images` isn't such an array, or the deviation is negative.

    Examples
    --------
    >>> noisy = gaussian(np.full((1, 100, 100, 1), 0.5), 0.1)
    >>> round(float(noisy.std()), 2)
    0.1
    """
    _check_deviation(deviation)
    random = np.random.default_rng(seed)
    noisy = images + np.float32(deviation) * random.standard_normal(images.shape, np.float32)
    return np.clip(noisy, 0, 1) if clip else noisy


@takes_images
def salt_and_pepper(images: ArrayLike, share: float, *, seed: int = 0) -> np.ndarray:
    """Make some pixels white and as many black, whatever they were.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).
    share : float
        The share of the pixels that are replaced, from 0 to 1.  Each value of each channel is
        drawn by itself.
    seed : int
        The same seed replaces the same pixels.

    Returns
    -------
    numpy.ndarray
        float32, of the images' shape.

    Raises
    ------
    ValueError
        `images` isn't such an array, or `share` isn't between 0 and 1.

    Examples
    --------
    >>> noisy = salt_and_pepper(np.full((1, 100, 100, 1), 0.5), 0.2)
    >>> np.unique(noisy).tolist(), round(float((noisy != 0.5).mean()), 1)
    ([0.0, 0.5, 1.0], 0.2)
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be between 0 and 1, got {share}")
    drawn = np.random.default_rng(seed).random(images.shape)
    return np.select([drawn < share / 2, drawn < share], [0, 1], images).astype(np.float32)


@takes_images
def occluded(images: ArrayLike, size: int, *, seed: int = 0) -> np.ndarray:
    """Cover a square of each image with black, somewhere.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).
    size : int
        The square's height and width in pixels, from 0 to the smaller of the images' own.
    seed : int
        The same seed covers the same places.

    Returns
    -------
    numpy.ndarray
        float32, of the images' shape.

    Raises
    ------
    ValueError
        `images` isn't such an array, or the square doesn't fit in.

    Examples
    --------
    >>> occluded(np.ones((1, 4, 4, 1)), 2).sum()
    np.float32(12.0)
    """
    height, width = images.shape[1:3]
    if not 0 <= size <= min(height, width):
        raise ValueError(f"size must be between 0 and {min(height, width)}, got {size}")
    random = np.random.default_rng(seed)
    top = random.integers(0, height - size, len(images), endpoint=True)[:, None, None]
    left = random.integers(0, width - size, len(images), endpoint=True)[:, None, None]
    y, x = np.ogrid[:height, :width]
    covered = (top <= y) & (y < top + size) & (left <= x) & (x < left + size)
    return np.where(covered[..., None], np.float32(0), images)


def noisy_batches(
    images: ArrayLike,
    deviation: float,
    *,
    clip: bool = True,
    batch_size: int = 60,
    seed: int = 0,
) -> "DataSet":
    """Return endless batches of noisy images, with the clean ones as targets.

    The noise is drawn anew each time: a net never sees the same noisy image twice, and so can't
    learn the noise by heart.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).
    deviation : float
        The noise's standard deviation, 0 or more; see `gaussian`.
    clip : bool
        Whether noisy values outside [0, 1] are moved to the nearer end.
    batch_size : int
    seed : int
        Decides the order of the images, shuffled anew for each pass, and the noise.

    Returns
    -------
    tf.data.Dataset
        Of pairs (noisy, clean), to be given to `train`.

    Raises
    ------
    ValueError
        `images` isn't such an array, or the deviation is negative.

    References
    ----------
    Vincent et al., "Extracting and composing robust features with denoising autoencoders", 2008.

    Examples
    --------
    >>> batches = noisy_batches(np.zeros((100, 28, 28, 1)), 0.4)
    >>> [part.shape for part in next(iter(batches))]
    [TensorShape([60, 28, 28, 1]), TensorShape([60, 28, 28, 1])]
    """
    import tensorflow as tf

    _check_deviation(deviation)
    known = tf.constant(check_images(images))

    def pair(step, chosen):
        clean = tf.gather(known, chosen)
        shape = (batch_size, *known.shape[1:])
        noisy = clean + tf.random.stateless_normal(shape, [seed, step], stddev=deviation)
        return tf.clip_by_value(noisy, 0, 1) if clip else noisy, clean

    order = tf.data.Dataset.range(len(known)).shuffle(len(known), seed).repeat()
    pairs = order.batch(batch_size, drop_remainder=True).enumerate().map(pair)
    return pairs.prefetch(2)  # made while the net trains on those before


def _check_deviation(deviation):
    if not deviation >= 0:
        raise ValueError(f"deviation must be 0 or more, got {deviation}")
