"""Scores that aren't losses: how well a number finds odd images, and a code tells digits apart."""

import numpy as np
from numpy.typing import ArrayLike

from cae_lessons.batches import in_parts

RIDGE = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)


def roc_curve(usual: ArrayLike, odd: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the false alarms and the hits for every threshold on a score.

    An image whose score is at least the threshold is called odd.

    Parameters
    ----------
    usual, odd : array_like
        The scores of usual images and of odd ones, at least one each.

    Returns
    -------
    false_alarms, hits : numpy.ndarray
        The shares of the usual and of the odd images that are called odd, both rising from 0
        to 1, for each threshold that makes a difference.

    Raises
    ------
    ValueError
        A list is empty, or a score isn't a number.

    References
    ----------
    Fawcett, "An introduction to ROC analysis", 2006.

    Examples
    --------
    >>> false_alarms, hits = roc_curve([1, 2, 3], [2.5, 4])
    >>> false_alarms.round(2).tolist(), hits.tolist()
    ([0.0, 0.0, 0.33, 0.33, 0.67, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0, 1.0])
    """
    usual, odd = _sorted("usual", usual), _sorted("odd", odd)
    thresholds = np.unique(np.concatenate([usual, odd]))[::-1]
    counted = [
        np.concatenate([[0], len(s) - np.searchsorted(s, thresholds)]) / len(s)
        for s in (usual, odd)
    ]
    return counted[0], counted[1]


def area_under_curve(usual: ArrayLike, odd: ArrayLike) -> float:
    """Return the area under the ROC curve: how often an odd image scores above a usual one.

    Parameters
    ----------
    usual, odd : array_like
        The scores of usual images and of odd ones, at least one each.

    Returns
    -------
    float
        The share of all pairs of a usual and an odd image in which the odd one has the higher
        score; a tie counts one half.  A score that knows nothing has 0.5.

    Raises
    ------
    ValueError
        A list is empty, or a score isn't a number.

    References
    ----------
    Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic
    (ROC) curve", 1982.

    Examples
    --------
    >>> area_under_curve([1, 2, 3], [3, 4])
    0.9166666666666666
    """
    usual, odd = _sorted("usual", usual), _sorted("odd", odd)
    below = np.searchsorted(usual, odd, side="left").sum()
    not_above = np.searchsorted(usual, odd, side="right").sum()
    return float(below + not_above) / (2 * len(usual) * len(odd))


def neighbour_accuracy(
    known: ArrayLike, known_labels: ArrayLike, codes: ArrayLike, labels: ArrayLike
) -> float:
    """Return how often a code's nearest neighbour among known codes has the same label.

    Parameters
    ----------
    known, codes : array_like
        Shapes (m, …) and (n, …), any numbers for each image: codes, or pixels.  The distance is
        Euclid's.
    known_labels, labels : array_like
        Whole numbers, shapes (m,) and (n,).

    Returns
    -------
    float
        A share of the n.

    Examples
    --------
    >>> neighbour_accuracy([[0.0], [1.0]], [7, 8], [[0.1], [0.9], [0.4]], [7, 8, 8])
    0.6666666666666666
    """
    known, codes = _flat(known), _flat(codes)
    sizes = np.square(known).sum(axis=1)
    nearest = [
        np.argmin(sizes - 2 * (codes[part] @ known.T), axis=1) for part in in_parts(len(codes))
    ]
    return float(np.mean(np.asarray(known_labels)[np.concatenate(nearest)] == labels))


def probe_accuracy(
    known: ArrayLike, known_labels: ArrayLike, codes: ArrayLike, labels: ArrayLike
) -> float:
    """Return how often a linear classifier on the codes is right: a linear probe.

    The classifier is ridge regression on one-hot labels, about the mean and in units of the
    standard deviation of all numbers together.  The strength of the ridge is chosen among six by
    leaving out each known code in turn.

    Parameters
    ----------
    known, codes : array_like
        Shapes (m, …) and (n, …), any numbers for each image: codes, or pixels.
    known_labels, labels : array_like
        Whole numbers, shapes (m,) and (n,).

    Returns
    -------
    float
        A share of the n.

    References
    ----------
    Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016.

    Examples
    --------
    >>> known = [[0.0, 0.1], [0.1, 0.0], [1.0, 0.9], [0.9, 1.0]]
    >>> probe_accuracy(known, [3, 3, 5, 5], [[0.2, 0.1], [0.8, 0.7]], [3, 5])
    1.0
    """
    known, codes = _flat(known), _flat(codes)
    mean, scale = known.mean(axis=0), known.std() or 1.0
    known, codes = (known - mean) / scale, (codes - mean) / scale
    classes, answers = np.unique(known_labels, return_inverse=True)
    targets = np.eye(len(classes))[answers]
    # With few images and many numbers, the system of the images is the smaller one.
    similar = known @ known.T + 1
    best = max(RIDGE, key=lambda ridge: _left_out_accuracy(similar, targets, ridge))
    weights = np.linalg.solve(similar + best * np.eye(len(known)), targets)
    chosen = ((codes @ known.T + 1) @ weights).argmax(axis=1)
    return float(np.mean(classes[chosen] == labels))


def _left_out_accuracy(similar, targets, ridge):
    """Return how often ridge regression is right about each image when it hasn't seen it."""
    inverse = np.linalg.inv(similar + ridge * np.eye(len(similar)))
    left_out = targets - (inverse @ targets) / np.diag(inverse)[:, None]
    return np.mean(left_out.argmax(axis=1) == targets.argmax(axis=1))


def _sorted(name, scores):
    scores = np.sort(np.ravel(scores).astype(float))
    if scores.size == 0 or np.isnan(scores[-1]):
        raise ValueError(f"{name} must be at least one number and no NaN, got {scores}")
    return scores


def _flat(numbers):
    numbers = np.asarray(numbers, np.float64)
    return numbers.reshape(len(numbers), -1)
