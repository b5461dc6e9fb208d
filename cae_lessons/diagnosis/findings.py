"""From evidence to words: what is dead in a model, and what it is stuck on."""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import ArrayLike

from cae_lessons import floors
from cae_lessons.diagnosis.evidence import Evidence, drawable
from cae_lessons.layers import MaxUnpooling2D, ZeroFillUnpooling2D
from cae_lessons.runs import TrainingRun

SAME_PICTURE = 1e-3  # the pictures' variance over that of the images
ALIKE = 0.02  # the root mean squared difference of two pictures that look the same
HARDLY = 0.95  # of the loss that black pixels would have
APART = 0.2  # relative difference from which two losses count as different
FLOORS = {  # of layers without weights that may come last
    ZeroFillUnpooling2D: floors.zero_fill.unchecked,
    MaxUnpooling2D: floors.argmax.unchecked,
    keras.layers.UpSampling2D: floors.nearest.unchecked,
}


@dataclass(frozen=True)
class ModelDiagnosis:
    """What is dead in a model.

    Attributes
    ----------
    verdict : {"trained", "partly dead", "untrained", "collapsed", "diverged"}
        Collapsed: one picture for all images; the pictures vary less than 0.1 % as much as the
        images.  Untrained: the pictures vary, but their loss isn't below that of the best single
        picture that the decoder can draw.  Partly dead: some output phase is hardly better than
        black; only for decoders whose strides make phases.  Trained: none of these; dead maps may
        well be among its layers.  Diverged: the pictures hold NaN or infinity.
    loss : float
        The mean squared error.
    picture : str or None
        For a collapsed model, the picture that it draws: "all black", "all white", "all ½",
        "constant", "mean image" or "one picture"; for a partly dead one, how many phases are
        black.
    variation : float
        The variance of the pictures from image to image, over that of the images; NaN if all
        images are the same.
    dead_phases : numpy.ndarray or None
        bool, one entry for each output phase, without those that the decoder leaves black by
        design.  None if the decoder has no phases.
    dead_maps : dict of str to numpy.ndarray
        For each layer with a relu, however it is written, which of its maps are 0 everywhere for
        every image.
    dead_units : dict of str to float
        For each of these layers, the share of its units (places in its maps) that are 0 for every
        image.
    saturated : dict of str to float
        For each hidden layer with a sigmoid or tanh, the share of its outputs where the slope is
        below 4 % of the steepest.  For the picture of a sigmoid or of logits, the share of its
        pixels that are saturated and wrong by more than ½: those that should move and can't.
        Pixels that the decoder leaves black by design don't count.
    output_layer, output_activation : str or None
        The layer that made the pixels, leaving out layers that only move them, and what its
        activation does, `"logits"` where a sigmoid follows; None where it can't be known.
    floor : float
        The lowest loss that the model's last layer allows; 0 where it sets no limit.
    since : int or None
        The step from which the training loss didn't fall any more, or wasn't a number; None if it
        was still falling, or if no run was given.
    remarks : tuple of str
        Further remarks, one sentence each: layers that can't be judged; losses that can't be
        compared.
    """

    verdict: str
    loss: float
    picture: str | None
    variation: float
    dead_phases: np.ndarray | None
    dead_maps: dict[str, np.ndarray]
    dead_units: dict[str, float]
    saturated: dict[str, float]
    output_layer: str | None = None
    output_activation: str | None = None
    floor: float = 0.0
    since: int | None = None
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return one line for each finding."""
        picture = f" ({self.picture})" if self.picture else ""
        lines = [f"{self.verdict}{picture}; mean squared error {self.loss:.6f}"]
        if self.verdict == "diverged":
            since = "" if self.since is None else f" since step {self.since:,}"
            return f"diverged{since}: the pictures hold NaN or infinity"
        if self.floor:
            above = self.loss - self.floor
            lines.append(f"its last layer allows {self.floor:.6f} at best: {above:.6f} above")
        if self.since is not None:
            lines.append(f"the training loss gains nothing since step {self.since:,}")
        if not np.isnan(self.variation):
            lines.append(f"pictures vary {self.variation:.2%} as much as the images")
        if self.dead_phases is not None and self.verdict != "untrained":
            lines.append(f"dead output phases: {self.dead_phases.sum()} of {self.dead_phases.size}")
        for layer, dead in self.dead_maps.items():
            units = self.dead_units[layer]
            lines.append(f"{layer}: {dead.sum()} of {dead.size} maps dead, {units:.0%} of units")
        for layer, share in self.saturated.items():
            wrong = " and wrong" if layer == "picture" else ""
            lines.append(f"{layer}: {share:.0%} saturated{wrong}")
        return "\n".join([*lines, *self.remarks])

    __repr__ = __str__


def find(
    evidence: Evidence, targets: np.ndarray, model: keras.Model, run: TrainingRun | None = None
) -> ModelDiagnosis:
    """Turn evidence into a diagnosis.

    Parameters
    ----------
    evidence : Evidence
    targets : numpy.ndarray
        Checked.
    model : keras.Model
    run : TrainingRun, optional

    Returns
    -------
    ModelDiagnosis
    """
    loss = _mean(evidence.squared_error, evidence)
    phases = _dead_phases(evidence)
    verdict = _verdict(evidence, loss, phases)
    relus = _relus(evidence)
    return ModelDiagnosis(
        verdict=verdict,
        loss=loss,
        picture=_picture(evidence, verdict, phases),
        variation=_variation(evidence),
        dead_phases=phases,
        dead_maps={path: _all_dead(layer.alive) for path, layer in relus.items()},
        dead_units={path: float(1 - layer.alive.mean()) for path, layer in relus.items()},
        saturated=_saturated(evidence),
        output_layer=evidence.output_path,
        output_activation="logits" if evidence.logits else evidence.output_activation,
        floor=_floor(evidence.last, targets),
        since=_since(run, verdict),
        remarks=(*_unjudged(evidence, relus), *_compared_with_run(loss, run, model)),
    )


def stuck_since(run: TrainingRun, window: int = 50) -> int | None:
    """Return the step from which a run's loss didn't fall any more.

    Parameters
    ----------
    run : TrainingRun
        With the loss of every step.
    window : int
        Losses are averaged over this many steps: single batches differ too much.

    Returns
    -------
    int or None
        The first step of the first window that is as low as the end of the run; None where that
        is less than half of the run, or where the second half of the time since then is still
        lower than the first: by more than 1 %, and more than three standard errors.

    Examples
    --------
    >>> stuck_since(TrainingRun(list(range(300)), [0.3] * 100 + [0.1] * 200, 1.0, {}))
    100
    """
    losses = np.asarray(run.loss)
    if len(losses) < 2 * window or not np.isfinite(losses).all():
        return None
    last = losses[-max(window, len(losses) // 4) :]
    level, scatter = last.mean(), last.std()
    means = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    allowed = 0.01 * level + 4 * scatter / np.sqrt(window)
    moved = np.flatnonzero(np.abs(means - level) > allowed)
    start = 0 if not len(moved) else int(moved[-1]) + 1
    first, second = np.array_split(losses[start:], 2)
    gain = first.mean() - second.mean() if len(second) else np.inf
    noise = 3 * scatter * np.sqrt(2 / max(len(second), 1))
    stuck = start <= len(losses) // 2 and gain <= max(0.01 * level, noise)
    return start if stuck else None


def diverged_since(run: TrainingRun) -> int | None:
    """Return the first step whose loss was NaN or infinite; None if there was none.

    Examples
    --------
    >>> diverged_since(TrainingRun([0, 1, 2], [0.1, np.nan, np.nan], 1.0, {}))
    1
    """
    wrong = np.flatnonzero(~np.isfinite(run.loss))
    return int(run.step[wrong[0]]) if len(wrong) else None


def phase_losses(pictures: ArrayLike, images: ArrayLike, period: int = 4) -> np.ndarray:
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
        The shapes differ, or height or width isn't a multiple of `period`.

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
    if period < 1:
        raise ValueError(f"period={period!r}, expected a whole number of 1 or more")
    _, height, width, _ = images.shape
    if height % period or width % period:
        raise ValueError(f"{height} × {width} images don't divide into phases of period {period}")
    errors = np.square(np.subtract(pictures, images, dtype=np.float64)).mean(axis=0)
    return _by_phase(errors, (period, period))


def dead_phases(pictures: ArrayLike, images: ArrayLike, period: int = 4) -> np.ndarray:
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
        As `phase_losses` does.

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
    return losses > HARDLY * black


def _since(run, verdict):
    if run is None:
        return None
    return diverged_since(run) if verdict == "diverged" else stuck_since(run)


def _verdict(evidence, loss, phases):
    if not np.isfinite(loss):
        return "diverged"
    variation = _variation(evidence)
    if variation < SAME_PICTURE:
        return "collapsed"
    if not np.isnan(variation) and loss >= _best_single_picture(evidence):
        return "untrained"
    return "partly dead" if phases is not None and phases.any() else "trained"


def _mean(sums, evidence):
    """Return the mean over all images and pixels."""
    return float(np.mean(sums) / evidence.count)


def _variance(squares, sums, evidence):
    """Return the variance from image to image, averaged over the pixels."""
    return float(np.mean(squares / evidence.count - np.square(sums / evidence.count)))


def _variation(evidence):
    images = _variance(evidence.squared_target, evidence.target, evidence)
    pictures = _variance(evidence.squared_picture, evidence.picture, evidence)
    return max(pictures, 0.0) / images if images > 1e-12 else np.nan


def _best_single_picture(evidence):
    """Return the loss of the best picture for all images that the last layer can draw."""
    mean = evidence.target / evidence.count
    picture = _restrict(mean, evidence.last)
    spread = _variance(evidence.squared_target, evidence.target, evidence)
    return spread + float(np.mean(np.square(mean - picture)))


def _restrict(picture, last):
    """Return the nearest picture that a last layer without weights can draw."""
    if isinstance(last, ZeroFillUnpooling2D):
        return picture * drawable(last, picture.shape[:2])
    size = _block_size(last)
    if _floor_of(last) is None or picture.shape[0] % size[0] or picture.shape[1] % size[1]:
        return picture
    height, width, channels = picture.shape
    blocks = picture.reshape(height // size[0], size[0], width // size[1], size[1], channels)
    if isinstance(last, keras.layers.UpSampling2D):
        best = np.broadcast_to(blocks.mean(axis=(1, 3), keepdims=True), blocks.shape)
    else:
        best = blocks * (blocks == blocks.max(axis=(1, 3), keepdims=True))
    return best.reshape(picture.shape)


def _block_size(last):
    return getattr(last, "size", None) or getattr(last, "pool_size", None)


def _floor_of(last):
    """Return the floor function of a last layer that restricts the picture, else None."""
    smooth = getattr(last, "interpolation", "nearest") != "nearest"
    overlapping = isinstance(last, MaxUnpooling2D) and not last.windows.are_blocks
    if smooth or overlapping or getattr(last, "data_format", None) != "channels_last":
        return None
    return next((floor for kind, floor in FLOORS.items() if isinstance(last, kind)), None)


def _floor(last, targets):
    floor = _floor_of(last)
    return 0.0 if floor is None else floor(targets, _block_size(last))


def _by_phase(errors, period):
    """Sum the mean errors of the pixels of each phase, over the number of all pixels."""
    height, width, channels = errors.shape
    blocks = errors.reshape(height // period[0], period[0], width // period[1], period[1], channels)
    return blocks.mean(axis=(0, 2, 4)) / (period[0] * period[1])


def _dead_phases(evidence):
    if max(evidence.phases) == 1:
        return None
    mask = drawable(evidence.last, evidence.target.shape[:2])
    drawn = _by_phase(mask * 1.0, evidence.phases) > 0
    losses = _by_phase(evidence.squared_error, evidence.phases)
    return drawn & (losses > HARDLY * _by_phase(evidence.squared_target, evidence.phases))


def _picture(evidence, verdict, phases):
    if verdict == "partly dead":
        return f"{phases.sum()} of {phases.size} phases black"
    if verdict != "collapsed":
        return None
    drawn = evidence.first + evidence.picture / evidence.count
    mean = evidence.target / evidence.count
    known = {
        "all black": 0.0,
        "all white": 1.0,
        "all ½": 0.5,
        "constant": drawn.mean(),
        "mean image": mean,
    }
    fitting = (name for name, x in known.items() if np.sqrt(np.mean((drawn - x) ** 2)) < ALIKE)
    return next(fitting, "one picture")


def _relus(evidence):
    """Return the layers with a relu; where nobody can know, those that behave like one."""
    return {
        path: layer
        for path, layer in evidence.layers.items()
        if layer.activation == "relu" or (layer.activation is None and _behaves_like_relu(layer))
    }


def _behaves_like_relu(layer):
    """Whether a layer never falls below 0, and some map of it is 0 everywhere."""
    return layer.lowest == 0 and _all_dead(layer.alive).any()


def _all_dead(units):
    """Tell of which channel, the last axis, no unit is alive."""
    return ~units.any(axis=tuple(range(units.ndim - 1)))


def _saturated(evidence):
    shares = {}
    for path, layer in evidence.layers.items():
        if layer.activation in ("sigmoid", "tanh") and layer.count:
            shares[path] = layer.flat / layer.count
    if not evidence.logits:
        shares.pop(evidence.output_path, None)
    if evidence.output_activation == "sigmoid":
        shares["picture"] = float(evidence.flat_and_wrong / evidence.count / evidence.target.size)
    return shares


def _unjudged(evidence, relus):
    paths = [
        path
        for path, layer in evidence.layers.items()
        if layer.activation is None and path not in relus and not path.startswith("input of ")
    ]
    if paths:
        yield f"can't be judged, as the activation isn't known: {', '.join(paths)}"


def _compared_with_run(loss, run, model):
    """Say where the loss in training isn't the model's own, and why."""
    if run is None or run.settings.get("loss", "mse") != "mse" or len(run.loss) < 10:
        return
    training = float(np.mean(run.loss[-20:]))
    why = _why_apart(model, worse=loss > training)
    if why and abs(loss - training) > APART * max(loss, training):
        yield (
            f"the last training losses are {training:.6f} on average, the model's on these images "
            f"{loss:.6f}: {why}"
        )


def _why_apart(model, worse):
    kinds = {type(layer).__name__ for layer in model._flatten_layers()}
    if "BatchNormalization" in kinds:
        return (
            "batch normalisation uses each batch's own mean and variance in training, and running "
            "averages afterwards, which may lag behind"
        )
    noisy = sorted(kind for kind in kinds if "Dropout" in kind or "Noise" in kind)
    if noisy:
        return f"{noisy[0]} is at work in training only"
    return "these images are unlike those of the training" if worse else None
