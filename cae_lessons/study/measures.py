"""What a net is good for, beyond its loss: short codes, labels, noise, images never seen."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from cae_lessons import noise, scores
from cae_lessons.batches import run_in_batches
from cae_lessons.mnist import Digits
from cae_lessons.models import encoder_and_decoder
from cae_lessons.training import mean_squared_error, reconstruct

BITS = (8, 4, 2, 1)
TESTED_IMAGES = 2000  # of the test images, where all would take longer than the training
KNOWN_IMAGES = 5000  # whose labels the nearest neighbours may know
PROBED_IMAGES = 100  # whose labels the linear probe may know
SEED = 1  # of the noise on the test images, the same for all nets


def measured(model: keras.Model, settings: Mapping[str, Any], digits: Digits) -> dict[str, float]:
    """Return what is measured of a trained net for the book's part "What it is for".

    Parameters
    ----------
    model : keras.Model
    settings : dict
        The run's, as `tasks` returns them.
    digits : Digits

    Returns
    -------
    dict of str to float
        Of a denoiser, the losses of `denoised`.  Of a net that was trained without a digit, `auc`:
        how well its reconstruction error finds that digit.  Of other nets with a dense code, the
        losses of `quantized`, and `neighbours` and `probe`: the accuracies of `labelled`.  Of all
        others, nothing.
    """
    if settings["noise"]:
        return denoised(lambda images: reconstruct(model, images), digits)
    if settings["left_out"] is not None:
        return {"auc": _auc_of_left_out(model, settings["left_out"], digits)}
    if not settings["code_size"]:
        return {}
    encoder, decoder = encoder_and_decoder(model)
    return quantized(encoder, decoder, digits) | labelled(
        lambda images: run_in_batches(encoder, images), digits
    )


def quantized(encoder: keras.Model, decoder: keras.Model, digits: Digits) -> dict[str, float]:
    """Return the test loss with the code's numbers rounded to few bits.

    Each number of the code gets 2^bits equally spaced levels between its smallest and its largest
    value among the first training images.

    Parameters
    ----------
    encoder, decoder : keras.Model
        As `encoder_and_decoder` returns them.
    digits : Digits

    Returns
    -------
    dict of str to float
        The mean squared error on the first test images, unrounded (`"all bits"`) and for each
        number of bits (`"4 bits"`).
    """
    images = digits.test.images[:TESTED_IMAGES]
    known = run_in_batches(encoder, digits.train.images[:KNOWN_IMAGES])
    codes = run_in_batches(encoder, images)

    def loss(codes):
        return float(np.mean(np.square(run_in_batches(decoder, codes) - images)))

    lowest, highest = known.min(axis=0), known.max(axis=0)
    rounded = {f"{bits} bits": loss(_rounded(codes, lowest, highest, bits)) for bits in BITS}
    return {"all bits": loss(codes), **rounded}


def labelled(encode: Callable[[np.ndarray], np.ndarray], digits: Digits) -> dict[str, float]:
    """Return how well codes tell the digits apart: two accuracies on the first test images.

    Parameters
    ----------
    encode : callable
        From images to codes of any shape.
    digits : Digits

    Returns
    -------
    dict of str to float
        `"neighbours"`: the nearest neighbour among the first 5,000 training images; `"probe"`: a
        linear classifier that was fitted on the first 100 of them.
    """
    train, test = digits.train, digits.test
    known, codes = encode(train.images[:KNOWN_IMAGES]), encode(test.images[:TESTED_IMAGES])
    labels = test.labels[:TESTED_IMAGES]
    few = slice(PROBED_IMAGES)
    return {
        "neighbours": scores.neighbour_accuracy(known, train.labels[:KNOWN_IMAGES], codes, labels),
        "probe": scores.probe_accuracy(known[few], train.labels[few], codes, labels),
    }


def denoised(clean: Callable[[np.ndarray], np.ndarray], digits: Digits) -> dict[str, float]:
    """Return the losses of a denoiser on the first test images, with noise of several kinds.

    Parameters
    ----------
    clean : callable
        From noisy images in [0, 1] to pictures.
    digits : Digits

    Returns
    -------
    dict of str to float
        The mean squared error against the clean images, by kind of noise; see `noisy_images`.
    """
    images = digits.test.images[:TESTED_IMAGES]
    return {
        kind: float(np.mean(np.square(clean(noisy) - images, dtype=np.float64)))
        for kind, noisy in noisy_images(images).items()
    }


def noisy_images(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return images with each kind of noise that denoisers are measured with.

    Parameters
    ----------
    images : numpy.ndarray
        Floats in [0, 1], shape (n, 28, 28, 1).

    Returns
    -------
    dict of str to numpy.ndarray
        By the kind's name; all are in [0, 1].

    Examples
    --------
    >>> list(noisy_images(np.zeros((1, 28, 28, 1), "float32")))
    ['clean', 'noise 0.2', 'noise 0.4', 'noise 0.5', 'salt and pepper', 'occluded']
    """
    normal = {f"noise {d}": noise.gaussian(images, d, seed=SEED) for d in (0.2, 0.4, 0.5)}
    return {
        "clean": images,
        **normal,
        "salt and pepper": noise.salt_and_pepper(images, 0.2, seed=SEED),
        "occluded": noise.occluded(images, 8, seed=SEED),
    }


def loss_on_test_images(model: keras.Model, settings: Mapping[str, Any], digits: Digits) -> float:
    """Return a net's mean squared error on the test images, with noise on them if it had noise."""
    images = digits.test.images
    if settings["noise"]:
        return mean_squared_error(
            model, noise.gaussian(images, settings["noise"], seed=SEED), images
        )
    return mean_squared_error(model, images)


def _rounded(codes, lowest, highest, bits):
    step = np.maximum(highest - lowest, 1e-12) / (2**bits - 1)
    level = np.round((np.clip(codes, lowest, highest) - lowest) / step)
    return (lowest + level * step).astype(np.float32)


def _auc_of_left_out(model, digit, digits):
    images, odd = digits.test.images, digits.test.labels == digit
    errors = np.square(reconstruct(model, images) - images).mean(axis=(1, 2, 3))
    return scores.area_under_curve(errors[~odd], errors[odd])
