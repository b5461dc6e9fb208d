"""What a net is good for, beyond its loss: short codes, labels, noise, images never seen."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from cae_lessons import noise, scores
from cae_lessons.batches import in_parts, run_in_batches
from cae_lessons.mnist import Digits
from cae_lessons.models import encoder_and_decoder
from cae_lessons.training import mean_squared_error, reconstruct

BITS = (8, 4, 2, 1)
TESTED_IMAGES = 2000  # of the test images, where all would take longer than the training
KNOWN_IMAGES = 5000  # whose labels the nearest neighbours may know
PROBED_IMAGES = 100  # whose labels the linear probe may know
FALSE_ALARMS = 0.05  # of the usual validation images, above the threshold
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
        Of a denoiser, the losses of `denoised`, and of the argmax one also those with `clean code`
        and with `clean places`: the noisy image's other part, and this one from the clean image.
        Of a net that was trained without a digit, what `detected` returns of its reconstruction
        error.  Of a net that was trained on few images, its losses on these (`training`) and on
        the validation images.  Of other nets with a dense code, the losses of `quantized`, and
        `neighbours` and `probe`: the accuracies of `labelled`.  Of all others, nothing.
    """
    if settings["noise"]:
        losses = denoised(lambda images: reconstruct(model, images), digits)
        return losses | (_by_parts(model, digits) if "argmax" in settings["net"] else {})
    if settings["left_out"] is not None:
        return detected(lambda images: _errors(model, images), settings["left_out"], digits)
    if settings["train_images"]:
        few = digits.train.images[: settings["train_images"]]
        splits = {"training": few, "validation": digits.validation.images}
        return {name: mean_squared_error(model, images) for name, images in splits.items()}
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
        And `changes with the noise`: the part of the loss at 0.4 that another draw of the noise
        changes, half of the mean squared difference between the two pictures.
    """
    images = digits.test.images[:TESTED_IMAGES]
    pictures = {kind: clean(noisy) for kind, noisy in noisy_images(images).items()}
    losses = {kind: _mean_square(picture - images) for kind, picture in pictures.items()}
    again = clean(noise.gaussian(images, 0.4, seed=SEED + 1))
    return losses | {"changes with the noise": _mean_square(again - pictures["noise 0.4"]) / 2}


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


def detected(
    score: Callable[[np.ndarray], np.ndarray], left_out: int, digits: Digits
) -> dict[str, float]:
    """Return how well a score finds the digit that a net, or whatever scores, never saw.

    Parameters
    ----------
    score : callable
        From images to numbers, one per image, larger for odder images.
    left_out : int
        The digit.
    digits : Digits

    Returns
    -------
    dict of str to float
        `auc` on the test images; `false alarms` and `hits`, their shares above the score that 5 %
        of the usual validation images exceed; and for each of `strange_images` its score
        (`"black"`) and the share of the usual test images that score less (`"below black"`).
    """
    scored, odd = score(digits.test.images), digits.test.labels == left_out
    known = digits.validation.images[digits.validation.labels != left_out]
    threshold = np.quantile(score(known), 1 - FALSE_ALARMS)
    strange = strange_images(digits.test.images[0])
    strangeness = dict(zip(strange, score(np.stack(list(strange.values()))), strict=True))
    return {
        "auc": scores.area_under_curve(scored[~odd], scored[odd]),
        "false alarms": float(np.mean(scored[~odd] >= threshold)),
        "hits": float(np.mean(scored[odd] >= threshold)),
        **{name: float(x) for name, x in strangeness.items()},
        **{f"below {name}": float(np.mean(scored[~odd] < x)) for name, x in strangeness.items()},
    }


def strange_images(image: np.ndarray) -> dict[str, np.ndarray]:
    """Return an image and six that nobody would take for a digit, or not for one in its place.

    Parameters
    ----------
    image : numpy.ndarray
        Floats in [0, 1], shape (28, 28, 1).

    Returns
    -------
    dict of str to numpy.ndarray
        By name: the image itself, black, stripes one pixel wide, noise, and the image inverted,
        moved to a corner, and with its pixels shuffled.

    Examples
    --------
    >>> list(strange_images(np.zeros((28, 28, 1), "float32")))
    ['digit', 'black', 'stripes', 'noise', 'inverted', 'moved', 'shuffled']
    """
    generator = np.random.default_rng(SEED)
    rows = np.arange(len(image))[:, None, None]
    strange = {
        "digit": image,
        "black": np.zeros_like(image),
        "stripes": np.broadcast_to(rows % 2, image.shape),
        "noise": generator.random(image.shape),
        "inverted": 1 - image,
        "moved": np.roll(image, (-7, 7), axis=(0, 1)),
        "shuffled": generator.permutation(image.ravel()).reshape(image.shape),
    }
    return {name: each.astype(np.float32) for name, each in strange.items()}


def loss_on_test_images(model: keras.Model, settings: Mapping[str, Any], digits: Digits) -> float:
    """Return a net's mean squared error on the test images, with noise on them if it had noise."""
    images = digits.test.images
    if settings["noise"]:
        noisy = noise.gaussian(images, settings["noise"], clip=settings["clip_noise"], seed=SEED)
        return mean_squared_error(model, noisy, images)
    return mean_squared_error(model, images)


def _rounded(codes, lowest, highest, bits):
    step = np.maximum(highest - lowest, 1e-12) / (2**bits - 1)
    level = np.round((np.clip(codes, lowest, highest) - lowest) / step)
    return (lowest + level * step).astype(np.float32)


def _by_parts(model, digits):
    """Return the argmax denoiser's losses with one part of its code from the clean images."""
    images = digits.test.images[:TESTED_IMAGES]
    noisy = noise.gaussian(images, 0.4, seed=SEED)
    _, places_1 = model.get_layer("pooling_1").output
    code, places_2 = model.get_layer("code").output
    encoder = keras.Model(model.input, [code, places_2, places_1])
    decoder = keras.Model(encoder.outputs, model.output)
    squares = {"clean code": 0.0, "clean places": 0.0}
    for part in in_parts(len(images)):
        (code, *places), (noisy_code, *noisy_places) = encoder(images[part]), encoder(noisy[part])
        mixed = {"clean code": [code, *noisy_places], "clean places": [noisy_code, *places]}
        for name, parts in mixed.items():
            squares[name] += _mean_square(np.asarray(decoder(parts)) - images[part]) * len(code)
    return {name: total / len(images) for name, total in squares.items()}


def _errors(model, images):
    return np.square(reconstruct(model, images) - images).mean(axis=(1, 2, 3))


def _mean_square(differences):
    return float(np.mean(np.square(differences, dtype=np.float64)))
