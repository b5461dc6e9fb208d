"""What a run is stuck on: the picture behind a loss; dead maps, dead phases, saturated units."""

import numbers
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from cae_lessons import floors
from cae_lessons.layers import ZeroFillUnpooling2D, corner_mask
from cae_lessons.mnist import check_images
from cae_lessons.models import gives_logits
from cae_lessons.training import (
    check_loss,
    loss_of,
    output_activation,
    reconstruct,
    run_in_batches,
)

SATURATED = 0.01  # the slope s (1 − s) of a sigmoid below which hardly any gradient passes
SAME_PICTURE = 1e-3  # the pictures' variance over that of the images


@dataclass(frozen=True)
class LossDiagnosis:
    """The degenerate pictures whose loss lies nearest to a given one.

    Attributes
    ----------
    loss : float
        The loss that was asked about.
    verdict : str
        The name of the picture whose loss is nearest.
    distance : float
        The loss minus that picture's.
    known : dict of str to float
        All the losses compared with, the nearest first.
    """

    loss: float
    verdict: str
    distance: float
    known: dict

    def __str__(self):
        """Return the verdict, and the three nearest losses."""
        nearest = [
            f"  {value:.6f}  {self.loss - value:+.6f}  {name}"
            for name, value in list(self.known.items())[:3]
        ]
        return "\n".join([f"{self.loss:.6f} is nearest to: {self.verdict}", *nearest])

    __repr__ = __str__


@dataclass(frozen=True)
class ModelDiagnosis:
    """What is dead in a model.

    Attributes
    ----------
    verdict : {"trained", "partly dead", "collapsed"}
        Collapsed: one picture for all images, or nowhere better than black.  Partly dead: some
        output phase is hardly better than black.  Trained: neither; dead maps may well be among
        its layers.
    picture : LossDiagnosis
        The degenerate picture that the model's mean squared error belongs to.
    variation : float
        The variance of the pictures from image to image, over that of the images; NaN where all
        images are one.
    dead_phases : numpy.ndarray
        bool, shape (4, 4), less where 4 divides not height and width; without those that the
        decoder leaves black by design.
    dead_maps : dict of str to numpy.ndarray
        For each relu layer, which of its maps are 0 everywhere for every image.
    dead_units : dict of str to float
        For each relu layer, the share of its units (places in its maps) that are 0 for every
        image.
    saturated : dict of str to float
        For each hidden sigmoid layer, the share of its outputs where the sigmoid's slope is below
        0.01.  For the picture of a sigmoid or of logits, the share of its pixels that are so and
        wrong by more than ½: those that should move and can't.  Pixels that the decoder leaves
        black by design don't count.
    since : int or None
        The step from which the loss stayed where it ended; None where it was still falling, or
        no run was given.
    """

    verdict: str
    picture: LossDiagnosis
    variation: float
    dead_phases: np.ndarray
    dead_maps: dict
    dead_units: dict
    saturated: dict
    since: int | None = None

    def __str__(self):
        """Return one line a finding."""
        stuck_on = self.picture if self.verdict != "trained" else f"{self.picture.loss:.6f}"
        lines = [f"{self.verdict}; mean squared error {stuck_on}"]
        if self.since is not None:
            lines.append(f"the loss stays there since step {self.since:,}")
        if not np.isnan(self.variation):
            lines.append(f"pictures vary {self.variation:.2%} as much as the images")
        lines.append(f"dead output phases: {self.dead_phases.sum()} of {self.dead_phases.size}")
        for layer, dead in self.dead_maps.items():
            units = self.dead_units[layer]
            lines.append(f"{layer}: {dead.sum()} of {dead.size} maps dead, {units:.0%} of units")
        lines += [f"{layer}: {share:.0%} saturated" for layer, share in self.saturated.items()]
        return "\n".join(lines)

    __repr__ = __str__


def diagnose(subject, images, *, loss="mse", run=None):
    """Say what a loss, or a model, is stuck on.

    Parameters
    ----------
    subject : float or keras.Model
        A loss over the images, or a model that gives pictures of them.
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).
    loss : {"mse", "bce"}
        Of what kind a given loss is: mean squared error, or binary cross-entropy in nats.
    run : TrainingRun, optional
        The model's training, to say since when its loss is where it is.

    Returns
    -------
    LossDiagnosis or ModelDiagnosis
        Prints as a short report.

    Raises
    ------
    ValueError
        The images are none, the model doesn't take them, `loss` is no such kind, the subject is
        a number that no loss can be, or the model's pictures are no numbers.
    TypeError
        The subject is neither a number nor a model.

    Notes
    -----
    A loss over a batch of 60 is off by a tenth or so from that over all images: ask with the
    images that the loss was measured on, or with a mean over many steps.

    Examples
    --------
    >>> images = np.zeros((4, 8, 8, 1))
    >>> images[:, ::4, ::4] = 1
    >>> diagnose(1 / 16, images).verdict
    'all black'
    """
    check_loss(loss)
    if isinstance(subject, numbers.Real):
        return _diagnose_loss(float(subject), images, loss)
    if isinstance(subject, keras.Model):
        return _diagnose_model(subject, images, run)
    raise TypeError(f"{type(subject).__name__} given, expected a loss (a number) or a keras.Model")


def known_losses(images, loss="mse"):
    """Return the losses of degenerate pictures of some images.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).
    loss : {"mse", "bce"}
        Mean squared error, or binary cross-entropy in nats.

    Returns
    -------
    dict of str to float
        The pictures' names and losses.  Dead phases are there where height and width are
        multiples of 4.  The cross-entropy of black pictures is that of probabilities clipped
        at 1e-7, as Keras does it.

    Raises
    ------
    ValueError
        `images` is no such array, or `loss` no such kind.

    Examples
    --------
    >>> known_losses(np.full((1, 2, 2, 1), 0.5))["constant"]
    0.0
    """
    images = check_images(images)
    check_loss(loss)
    return _known_cross_entropies(images) if loss == "bce" else _known_squared_errors(images)


def stuck_since(run, window=50, tolerance=0.1):
    """Return the step from which a run's loss stayed where it ended.

    Parameters
    ----------
    run : TrainingRun
        With the loss of every step.
    window : int
        Losses are averaged over this many steps: single batches differ too much.
    tolerance : float
        How far a mean may lie from the last one, relative to it.

    Returns
    -------
    int or None
        The first step of the first window that counts; None where the loss moved until the end,
        that is, stayed for less than half of the run.

    Examples
    --------
    >>> from cae_lessons.training import TrainingRun
    >>> stuck_since(TrainingRun(list(range(300)), [0.3] * 100 + [0.1] * 200, 1.0, {}))
    98
    """
    losses = np.asarray(run.loss)
    if len(losses) < 2 * window:
        return None
    means = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    moved = np.flatnonzero(np.abs(means - means[-1]) > tolerance * means[-1])
    start = 0 if not len(moved) else int(moved[-1]) + 1
    return start if start <= len(losses) // 2 else None


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
    return run_in_batches(keras.Model(model.inputs[0], output), images)


def receptive_field(model, layer, position):
    """Tell which pixels of the image one unit of a layer sees.

    In a copy of the model all weights are the same positive number, so that nothing cancels and
    no relu is dead.  Then one pixel after the other is lit: the unit sees those that change it.

    Parameters
    ----------
    model : keras.Model
    layer : str
        The layer's name.
    position : pair of int
        The unit's row and column in its map.

    Returns
    -------
    numpy.ndarray
        bool, shape (height, width), the image's.

    Raises
    ------
    ValueError
        The model has no layer of that name.
    IndexError
        The map has no such row or column.

    Notes
    -----
    Behind an argmax unpooling, which pixels count depends on all the others; there only those
    are found that count on an otherwise black image.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> int(receptive_field(strided_autoencoder(), "convolution_1", (7, 7)).sum())
    25
    """
    copy = keras.models.clone_model(model)
    for weights in copy.layers:
        kernel_and_bias = [np.full(w.shape, 0.01 * (w.ndim > 1)) for w in weights.get_weights()]
        weights.set_weights(kernel_and_bias)
    _, height, width, channels = model.input_shape
    pixels = np.eye(height * width, dtype="float32").reshape(-1, height, width, 1)
    black = np.zeros((1, height, width, 1), "float32")
    images = np.concatenate([black, pixels]).repeat(channels, axis=-1)
    units = activations(copy, images, layer)[:, position[0], position[1]]
    return np.any(units[1:] != units[0], axis=-1).reshape(height, width)


def pre_activations(model, images, layer):
    """Return what a layer gives before its activation function.

    Parameters
    ----------
    model : keras.Model
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels).
    layer : str
        The name of a layer that has an activation, a convolution for example.

    Returns
    -------
    numpy.ndarray
        Shape (n, …), the layer's output shape.

    Raises
    ------
    ValueError
        As `activations`, or the layer has no activation.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> z = pre_activations(strided_autoencoder(), np.ones((1, 28, 28, 1)), "code")
    >>> bool(z.min() < 0)
    True
    """
    images = check_images(images, model.input_shape[1:])
    last = model.get_layer(layer)
    if not hasattr(last, "activation"):
        raise ValueError(f"layer {layer!r} has no activation function")
    # Called on arrays: called on `last.input` it would stay tied to the model, one layer a call.
    linear = type(last).from_config({**last.get_config(), "activation": "linear"})
    linear.build(last.input.shape)
    linear.set_weights(last.get_weights())
    return run_in_batches(linear, run_in_batches(keras.Model(model.inputs[0], last.input), images))


def watch(model, images, layer, records, loss="mse"):
    """Return a function for `train(before_step=…)` that notes how a layer fares.

    Parameters
    ----------
    model : keras.Model
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels): a batch to look at, the same at
        each step.
    layer : str
        The name of a layer with an activation and a kernel.
    records : list
        Gets one dict a step: `step`; `pre_activation`, five numbers, the least, the 5th, 50th
        and 95th percentile and the largest; `gradient`, the Euclidean norm of the loss' gradient
        with respect to the layer's kernel; `loss`, that of `images`.
    loss : {"mse", "bce"}
        As for `train`.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        As `pre_activations`, the layer has no kernel, or the loss is unknown.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder, train
    >>> images, records, model = np.ones((60, 28, 28, 1)), [], strided_autoencoder()
    >>> look = watch(model, images, "code", records)
    >>> run = train(model, images, steps=2, before_step=look)
    >>> [record["step"] for record in records]
    [0, 1]
    """
    images = check_images(images, model.input_shape[1:])
    kernel = getattr(model.get_layer(layer), "kernel", None)
    if kernel is None:
        raise ValueError(f"layer {layer!r} has no kernel")
    loss_function = loss_of(model, loss)

    def look(step):
        with tf.GradientTape() as tape:
            value = loss_function(images, model(images))
        gradient = tape.gradient(value, kernel)
        z = pre_activations(model, images, layer)
        records.append(
            {
                "step": step,
                "pre_activation": np.percentile(z, (0, 5, 50, 95, 100)),
                "gradient": float(tf.norm(gradient)),
                "loss": float(value),
            }
        )

    return look


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
    return _all_dead(activations(model, images, layer).max(axis=0) > 0)


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


def _known_squared_errors(images):
    black = floors.all_black(images)
    known = {
        "perfect": 0.0,
        "all black": black,
        "all white": floors.all_black(1 - images),
        "all ½": float(np.mean(np.square(images - 0.5, dtype=np.float64))),
        "constant": floors.constant(images),
        "mean image": floors.mean_image(images),
        "best zero-fill": floors.zero_fill(images),
        "best nearest": floors.nearest(images),
        "best argmax": floors.argmax(images),
    }
    if not any(size % 4 for size in images.shape[1:3]):
        known |= {f"{count} of 16 phases black": count / 16 * black for count in range(1, 16)}
    return known


def _known_cross_entropies(images):
    mean = np.full((1, 1, 1, 1), images.mean(dtype=np.float64))
    return {
        "perfect": floors.cross_entropy(images),
        "all black": floors.cross_entropy(images, 1e-7, 1e-7),
        "all white": floors.cross_entropy(images, 1 - 1e-7, 1 - 1e-7),
        "all ½": floors.cross_entropy(images, 0.5, 0.5),
        "constant": floors.cross_entropy(mean),
        "mean image": floors.cross_entropy(images.mean(axis=0, keepdims=True, dtype=np.float64)),
        "relu as logits": floors.cross_entropy_relu_logits(images),
        "double sigmoid": floors.cross_entropy_double_sigmoid(images),
    }


def _diagnose_loss(value, images, loss):
    if not 0 <= value < np.inf:
        raise ValueError(f"the loss is {value}, expected a number of 0 or more")
    known = known_losses(images, loss)
    known = dict(sorted(known.items(), key=lambda item: abs(item[1] - value)))
    verdict = next(iter(known))
    return LossDiagnosis(value, verdict, value - known[verdict], known)


def _diagnose_model(model, images, run):
    images = check_images(images, model.input_shape[1:])
    pictures = reconstruct(model, images)
    if not np.isfinite(pictures).all():
        raise ValueError("the model's pictures hold NaN or infinity: its training diverged")
    error = float(np.mean(np.square(pictures - images, dtype=np.float64)))
    spread = floors.mean_image(images)
    varying = float(np.mean(np.var(pictures, axis=0, dtype=np.float64)))
    variation = varying / spread if spread > 1e-12 else np.nan
    period = next(n for n in (4, 2, 1) if not any(size % n for size in images.shape[1:3]))
    drawable = _drawable(model, images)
    drawn = phase_losses(drawable, np.zeros_like(drawable), period) > 0
    dead = dead_phases(pictures, images, period) & drawn
    collapsed = variation < SAME_PICTURE or dead.sum() == drawn.sum()
    return ModelDiagnosis(
        verdict="collapsed" if collapsed else "partly dead" if dead.any() else "trained",
        picture=_diagnose_loss(error, images, "mse"),
        variation=variation,
        dead_phases=dead,
        **_dead_relus(model, images),
        saturated=_saturated(model, images, pictures, drawable),
        since=None if run is None else stuck_since(run),
    )


def _drawable(model, images):
    """Return the mask of pixels that the decoder can draw: zero-fill leaves the others black."""
    last = model.layers[-1]
    if isinstance(last, ZeroFillUnpooling2D):
        return corner_mask(images.shape[1:3], last.pool_size)[np.newaxis]
    return np.ones((1, *images.shape[1:3], 1), bool)


def _layers_with(model, activation):
    function = keras.activations.get(activation)
    return [layer.name for layer in model.layers if getattr(layer, "activation", None) is function]


def _dead_relus(model, images):
    alive = {
        layer: activations(model, images, layer).max(axis=0) > 0
        for layer in _layers_with(model, "relu")
    }
    return {
        "dead_maps": {layer: _all_dead(units) for layer, units in alive.items()},
        "dead_units": {layer: float(1 - units.mean()) for layer, units in alive.items()},
    }


def _all_dead(units):
    """Tell of which channel, the last axis, no unit is alive."""
    return ~units.any(axis=tuple(range(units.ndim - 1)))


def _saturated(model, images, pictures, drawable):
    last = output_activation(model)
    layers = _layers_with(model, "sigmoid")
    hidden = layers[:-1] if last == "sigmoid" else layers
    shares = {layer: _flat(activations(model, images, layer)).mean() for layer in hidden}
    if last == "sigmoid" or gives_logits(model):
        wrong = np.abs(pictures - images) > 0.5
        shares["picture"] = (_flat(pictures) & wrong & drawable).mean()
    return {layer: float(share) for layer, share in shares.items()}


def _flat(values):
    return values * (1 - values) < SATURATED
