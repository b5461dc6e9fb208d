"""What no training can beat: the lowest mean squared error of a restricted picture."""

import numpy as np

from cae_lessons.mnist import check_images


def all_black(images):
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
        `images` is no such array.

    Examples
    --------
    >>> all_black(np.full((1, 2, 2, 1), 0.5))
    0.25
    """
    images = check_images(images)
    return float(np.mean(np.square(images, dtype=np.float64)))


def constant(images):
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
        `images` is no such array.

    Examples
    --------
    >>> constant(np.array([0.0, 1.0]).reshape(1, 1, 2, 1))
    0.25
    """
    return float(np.var(check_images(images), dtype=np.float64))


def mean_image(images):
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
        `images` is no such array.

    Examples
    --------
    >>> mean_image(np.array([[0.0, 0.0], [0.0, 1.0]]).reshape(2, 1, 2, 1))
    0.125
    """
    return float(np.mean(np.var(check_images(images), axis=0, dtype=np.float64)))
