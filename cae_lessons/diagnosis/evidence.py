"""What a model does with images, gathered in one pass over them, batch by batch.

Sums are kept, never all activations: the memory that it takes doesn't grow with the number of
images.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

from cae_lessons.batches import in_parts
from cae_lessons.cores import side_by_side
from cae_lessons.layers import MaxUnpooling2D, ZeroFillUnpooling2D, corner_mask
from cae_lessons.models import gives_logits
from cae_lessons.tracing import activation, output_maker, tracing
from cae_lessons.training import check_output

FLAT = 0.04  # of its steepest slope: where a sigmoid or tanh lets hardly any gradient pass
STEEPEST = {"sigmoid": 0.25, "tanh": 1.0}
PIXELS_AT_ONCE = 200_000


@dataclass
class LayerEvidence:
    """What one layer did with the images.

    Attributes
    ----------
    activation : str or None
        As `tracing.activation` names it.
    alive : numpy.ndarray
        bool, the shape of one output: which units were ever above 0.
    lowest : float
        The lowest output.
    flat : float
        For a sigmoid or tanh, how many outputs lie where its slope is below 4 % of the steepest.
    count : int
        How many outputs there were.
    """

    activation: str | None
    alive: np.ndarray
    lowest: float = np.inf
    flat: float = 0.0
    count: int = 0

    def add(self, y: Any) -> None:
        """Take in the outputs for one batch."""
        y = ops.convert_to_numpy(ops.cast(y, "float32"))
        self.alive |= (y > 0).any(axis=0)
        self.lowest = min(self.lowest, float(y.min()))
        self.count += y.size
        if self.activation in STEEPEST:
            self.flat += int(is_flat(y, self.activation).sum())


@dataclass
class Evidence:
    """Sums over all images, from which everything is found.

    Attributes
    ----------
    count : int
        How many images there were.
    squared_error, squared_target, target : numpy.ndarray
        float64, the shape of one picture: per pixel, the sum of (picture − target)², of target²
        and of the target.
    picture, squared_picture : numpy.ndarray
        The sum of picture − first picture, and of its square.
    first : numpy.ndarray
        The first picture.
    flat_and_wrong : float
        How many pixels a sigmoid has made that are flat and wrong by more than ½.
    layers : dict of str to LayerEvidence
    output_activation : str or None
        The activation that made the pixels, `"sigmoid"` for logits.
    output_path : str or None
        The layer that did it.
    logits : bool
        Whether the pixels are the sigmoid of that layer's output.
    last : keras.layers.Layer or None
        The layer that made the output.
    phases : tuple of int
        The (rows, columns) of the pattern that the decoder's strides make; (1, 1) without.
    """

    count: int = 0
    squared_error: np.ndarray | float = 0.0
    squared_target: np.ndarray | float = 0.0
    target: np.ndarray | float = 0.0
    picture: np.ndarray | float = 0.0
    squared_picture: np.ndarray | float = 0.0
    first: np.ndarray | float = 0.0
    flat_and_wrong: float = 0.0
    layers: dict[str, LayerEvidence] = field(default_factory=dict)
    output_activation: str | None = None
    output_path: str | None = None
    logits: bool = False
    last: object = None
    phases: tuple[int, int] = (1, 1)


def gather(model: keras.Model, images: np.ndarray, targets: np.ndarray) -> Evidence:
    """Run all images through a model once, and keep what its layers and pictures show.

    Parameters
    ----------
    model : keras.Model
        Of any kind.
    images, targets : numpy.ndarray
        Checked.

    Returns
    -------
    Evidence

    Raises
    ------
    ValueError
        The pictures don't have the shape of the targets.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> images = np.zeros((3, 28, 28, 1), "float32")
    >>> found = gather(strided_autoencoder(), images, images)
    >>> found.phases, found.layers["code"].alive.shape
    ((4, 4), (7, 7, 32))
    """
    evidence, logits = Evidence(), gives_logits(model)
    size = max(1, min(250, PIXELS_AT_ONCE // math.prod(images.shape[1:3])))
    parts = list(in_parts(len(images), size))
    with tracing(model) as run:
        traces = side_by_side(lambda part: run(images[part]), parts)
        for part, found in zip(parts, traces, strict=True):
            check_output(model, found.output, targets[part])
            if not evidence.count:
                _note_structure(evidence, found, logits)
            _add_layers(evidence, found)
            pictures = ops.sigmoid(found.output) if logits else found.output
            _add_pictures(evidence, ops.convert_to_numpy(pictures), targets[part])
    return evidence


def drawable(last: object, shape: tuple[int, int]) -> np.ndarray:
    """Return the mask of the pixels that a last layer can draw: zero-fill leaves others black.

    Parameters
    ----------
    last : keras.layers.Layer
    shape : pair of int
        The picture's height and width.

    Returns
    -------
    numpy.ndarray
        bool, shape (height, width, 1).

    Examples
    --------
    >>> int(drawable(ZeroFillUnpooling2D(), (4, 4)).sum())
    4
    """
    if isinstance(last, ZeroFillUnpooling2D) and last.data_format == "channels_last":
        return corner_mask(shape, last.pool_size)
    return np.ones((*shape, 1), bool)


def is_flat(values: Any, name: str) -> Any:
    """Tell where a sigmoid's or tanh's outputs lie on the flat ends of its curve."""
    slope = values * (1 - values) if name == "sigmoid" else 1 - values * values
    return slope < FLAT * STEEPEST[name]


def _note_structure(evidence, found, logits):
    evidence.logits = logits
    last, maker = found.maker(found.output), output_maker(found)
    evidence.last = last and last.layer
    evidence.output_activation = "sigmoid" if logits else maker and activation(maker)
    evidence.output_path = maker and maker.path
    evidence.phases = _phases([call.layer for call in found.calls], found.output.shape[1:3])
    for path, call in _by_path(found):
        name = activation(call)
        # An activation that is known and can't die or saturate has nothing to show.
        if path not in evidence.layers and name in ("relu", "sigmoid", "tanh", None):
            evidence.layers[path] = LayerEvidence(name, np.zeros(call.output.shape[1:], bool))


def _by_path(found):
    """Yield each call with its layer's path; calls of other shapes than the first get a number.

    A layer that is used several times is one layer: a map of it is dead if it is 0 in all uses.
    """
    shapes = defaultdict(list)
    for call in found.calls:
        shape, seen = tuple(call.output.shape[1:]), shapes[call.path]
        if shape not in seen:
            seen.append(shape)
        number = seen.index(shape)
        yield call.path + (f"#{number + 1}" if number else ""), call


def _phases(layers, shape):
    """Return the period of the pattern in the picture that strides make, in rows and columns."""
    period = [1, 1]
    for layer in layers:
        steps = _enlarges(layer)
        begins = isinstance(layer, (keras.layers.Conv2DTranspose, ZeroFillUnpooling2D))
        if steps and (begins or max(period) > 1):
            period = [old * new for old, new in zip(period, steps, strict=True)]
    fits = all(size % count == 0 and count <= 16 for size, count in zip(shape, period, strict=True))
    return tuple(period) if fits else (1, 1)


def _enlarges(layer):
    """Return by how much a decoder's layer enlarges its maps; None for other layers."""
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return layer.strides
    if isinstance(layer, ZeroFillUnpooling2D):
        return layer.pool_size
    if isinstance(layer, MaxUnpooling2D):
        return layer.strides
    return layer.size if isinstance(layer, keras.layers.UpSampling2D) else None


def _add_layers(evidence, found):
    for path, call in _by_path(found):
        if path in evidence.layers:
            evidence.layers[path].add(call.output)


def _add_pictures(evidence, pictures, targets):
    pictures, targets = np.asarray(pictures, np.float64), np.asarray(targets, np.float64)
    if not evidence.count:
        evidence.first = pictures[0]
    moved = pictures - evidence.first  # so that equal pictures vary by exactly 0
    evidence.count += len(targets)
    evidence.squared_error += np.square(pictures - targets).sum(axis=0)
    evidence.squared_target += np.square(targets).sum(axis=0)
    evidence.target += targets.sum(axis=0)
    evidence.picture += moved.sum(axis=0)
    evidence.squared_picture += np.square(moved).sum(axis=0)
    if evidence.output_activation in STEEPEST:
        flat = is_flat(pictures, evidence.output_activation)
        mask = drawable(evidence.last, targets.shape[1:3])
        evidence.flat_and_wrong += (flat & (np.abs(pictures - targets) > 0.5) & mask).sum()
