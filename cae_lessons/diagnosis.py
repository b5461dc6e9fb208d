"""What a run is stuck on: dead maps and dead output phases."""

import keras
import numpy as np

from cae_lessons.mnist import check_images
from cae_lessons.training import run_in_batches


def activations(model, images, layer):
    """Return what one layer of a model gives for some images.

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
        Shape (n, …), the layer's output shape.

    Raises
    ------
    ValueError
        `images` is no such array, or the model has no layer of that name.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> activations(strided_autoencoder(), np.zeros((1, 28, 28, 1), "float32"), "code").shape
    (1, 7, 7, 32)
    """
    images = check_images(images, model.input_shape[1:])
    output = model.get_layer(layer).output
    if isinstance(output, (list, tuple)):  # a pooling that also gives the places of its maxima
        output = output[0]
    return run_in_batches(keras.Model(model.input, output), images)


def dead_maps(model, images, layer="code"):
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
    return activations(model, images, layer).max(axis=(0, 1, 2)) <= 0


def phase_losses(pictures, images, period=4):
    """Return how much of the mean squared error each output phase contributes.

    The pixels (y, x) with y mod `period` = i and x mod `period` = j are phase (i, j).  A
    transposed convolution of stride s makes its s² phases with kernel entries that no two of
    them share; two of stride 2 in a row make 16 phases, of period 4.

    Parameters
    ----------
    pictures, images : array_like
        Shape (n, height, width, channels); what a model gave, and what it should have given.
    period : int
        The product of the decoder's strides; height and width are multiples of it.

    Returns
    -------
    numpy.ndarray
        float64, shape (period, period); its sum is the mean squared error.

    Raises
    ------
    ValueError
        The shapes differ, or height or width is no multiple of `period`.

    References
    ----------
    Odena, Dumoulin and Olah, "Deconvolution and checkerboard artifacts", 2016.

    Examples
    --------
    >>> phase_losses(np.zeros((1, 2, 2, 1)), np.array([[1, 0], [0, 3]]).reshape(1, 2, 2, 1), 2)
    array([[0.25, 0.  ],
           [0.  , 2.25]])
    """
    pictures, images = np.asarray(pictures), np.asarray(images)
    if pictures.shape != images.shape or images.ndim != 4:
        raise ValueError(
            f"pictures have shape {pictures.shape} and images {images.shape}, expected one shape "
            "(n, height, width, channels)"
        )
    count, height, width, channels = images.shape
    if period < 1:
        raise ValueError(f"period={period!r}, expected a whole number of 1 or more")
    if height % period or width % period:
        raise ValueError(f"{height} × {width} images don't divide into phases of period {period}")
    errors = np.square(np.subtract(pictures, images, dtype=np.float64))
    blocks = errors.reshape(count, height // period, period, width // period, period, channels)
    return blocks.mean(axis=(0, 1, 3, 5)) / period**2


def dead_phases(pictures, images, period=4):
    """Tell which output phases are dead: hardly better than black.

    Parameters
    ----------
    pictures, images : array_like
        Shape (n, height, width, channels); what a model gave, and what it should have given.
    period : int
        The product of the decoder's strides.

    Returns
    -------
    numpy.ndarray
        bool, shape (period, period); True where a phase removes less than 5 % of the loss that
        black pixels would have there.

    Raises
    ------
    ValueError
        As `phase_losses`.

    Examples
    --------
    >>> images = np.ones((1, 2, 2, 1))
    >>> pictures = np.array([[1, 0.9], [0.1, 0]]).reshape(1, 2, 2, 1)
    >>> dead_phases(pictures, images, period=2)
    array([[False, False],
           [False,  True]])
    """
    losses = phase_losses(pictures, images, period)
    black = phase_losses(np.zeros_like(images), images, period)
    return losses > 0.95 * black
