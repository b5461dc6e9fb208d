"""Pictures that need no net, and what a loss alone can tell."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cae_lessons import floors
from cae_lessons.mnist import takes_images
from cae_lessons.training import check_loss

TOLERANCE = 0.03  # relative: test and training images differ by 2 %
ABOVE_FLOOR = 0.08  # a trained net ends a little above what its last layer allows
NONE = "none of these"
IF_STRIDES = ", if the decoder has strides"


@dataclass(frozen=True)
class LossDiagnosis:
    """The degenerate picture that a loss fits.

    Attributes
    ----------
    loss : float
        The loss that was asked about.
    verdict : str
        The picture that has this loss, within 3 %, or up to 8 % above for the best picture of a
        last layer; dead phases only if no fixed picture fits, as in `"2 of 16 phases black,
        if the decoder has strides"`; `"none of these"`; `"diverged"` for NaN and infinity;
        `"images outside [0, 1]"` for a negative loss, which only a cross-entropy of such
        images can be.
    distance : float
        The loss minus that of the verdict's picture, or of the nearest picture if none fits; NaN
        if nothing can be compared.
    known : dict of str to float
        All losses that were compared, the nearest first, on the scale of the given loss.
    scale : str
        If the loss fits no picture as it is, the scale on which it fits one, such as `"summed over
        the 784 pixels"`.
    since : int or None
        For a loss that diverged, the first step at which it did, if a run was given.

    Examples
    --------
    >>> LossDiagnosis(0.11, "all black", -0.001, {"all black": 0.111})
    0.110000 fits: all black
      0.111000  -0.001000  all black
    """

    loss: float
    verdict: str
    distance: float
    known: dict[str, float]
    scale: str = ""
    since: int | None = None

    def __str__(self) -> str:
        """Return the verdict, and the three nearest losses."""
        if not self.known:  # NaN, infinity or a negative number
            since = "" if self.since is None else f" since step {self.since:,}"
            return f"{self.loss:g}: {self.verdict}{since}"
        fits = (
            "fits none of the pictures below" if self.verdict == NONE else f"fits: {self.verdict}"
        )
        shown = {
            name: value
            for name, value in self.known.items()
            if IF_STRIDES in self.verdict or not _is_phases(name)
        }
        nearest = [
            f"  {value:.6f}  {self.loss - value:+z.6f}  {name}"
            for name, value in list(shown.items())[:3]
        ]
        scale = f" ({self.scale})" if self.scale else ""
        return "\n".join([f"{self.loss:.6f} {fits}{scale}", *nearest])

    __repr__ = __str__


@takes_images
def known_losses(images: ArrayLike, loss: str = "mse") -> dict[str, float]:
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
        The pictures' names and losses.  For the squared error there are dead phases too, if height
        and width are multiples of 4.  For the cross-entropy of black pictures, probabilities are
        clipped at 1e-7, as Keras does it.

    Raises
    ------
    ValueError
        `images` isn't valid, or `loss` is unknown.

    Examples
    --------
    >>> known_losses(np.full((1, 2, 2, 1), 0.5))["constant"]
    0.0
    """
    check_loss(loss)
    return _cross_entropies(images) if loss == "bce" else _squared_errors(images)


def diagnose_loss(
    value: float, images: np.ndarray, loss: str = "mse", since: int | None = None
) -> LossDiagnosis:
    """Say which picture a loss fits, on the usual scales.

    Parameters
    ----------
    value : float
    images : numpy.ndarray
        Checked.
    loss : {"mse", "bce"}
    since : int, optional
        When the loss diverged, if it has.

    Returns
    -------
    LossDiagnosis

    Examples
    --------
    >>> images = np.ones((1, 6, 6, 1), "float32")
    >>> diagnose_loss(0.3, images).verdict
    'none of these'
    >>> diagnose_loss(36.0, images)
    36.000000 fits: all black (mean squared error summed over the 36 pixels)
      36.000000  +0.000000  all black
      27.000000  +9.000000  best zero-fill
      27.000000  +9.000000  best argmax
    """
    if not math.isfinite(value):
        return LossDiagnosis(value, "diverged", np.nan, {}, since=since)
    if value < 0:
        return LossDiagnosis(value, "images outside [0, 1]", np.nan, {})
    known = known_losses.unchecked(images, loss)
    as_it_is = _fit(value, known)
    if as_it_is.verdict != NONE or value <= known["all ½"]:
        return as_it_is
    return _fit_on_another_scale(value, images, loss) or as_it_is


def _fit(value, known, scale=""):
    known = dict(sorted(known.items(), key=lambda item: abs(item[1] - value)))
    nearest = next(iter(known))
    # A dead phase is one picture of many: a fixed picture that fits comes first.
    fitting = sorted((name for name in known if _fits(value, name, known[name])), key=_is_phases)
    verdict = fitting[0] if fitting else NONE
    distance = value - known[verdict if fitting else nearest]
    if _is_phases(verdict):
        verdict += IF_STRIDES
    return LossDiagnosis(value, verdict, distance, known, scale)


def _fit_on_another_scale(value, images, loss):
    pixels = int(np.prod(images.shape[1:]))
    scales = {
        f"summed over the {pixels:,} pixels": pixels,
        f"summed over the {pixels:,} pixels and halved": pixels / 2,
        "times 1,000": 1000,
    }
    kinds = {"mse": "mean squared error", "bce": "binary cross-entropy"}
    for kind in sorted(kinds, key=lambda each: each != loss):
        known = known_losses.unchecked(images, kind)
        known = {name: x for name, x in known.items() if not _is_phases(name) and x}
        of_kind = dict(scales)
        if kind == "mse":
            of_kind["of pixels from 0 to 255"] = 255**2
            root = _fit(value, {name: math.sqrt(x) for name, x in known.items()}, "its square root")
            if root.verdict != NONE:
                return root
        if kind != loss:
            of_kind = {"": 1, **of_kind}
        for scale, factor in of_kind.items():
            scaled = {name: factor * x for name, x in known.items()}
            found = _fit(value, scaled, f"{kinds[kind]} {scale}".strip())
            if found.verdict != NONE:
                return found
    return None


def _fits(value, name, known):
    above = ABOVE_FLOOR if name.startswith("best") else TOLERANCE
    return -TOLERANCE * known - 1e-6 <= value - known <= above * known + 1e-6


def _is_phases(name):
    return "phases" in name


def _squared_errors(images):
    black = floors.all_black.unchecked(images)
    mean = float(floors.mean_of(images).mean())
    known = {
        "perfect": 0.0,
        "all black": black,
        # E[(x − c)²] = E[x²] − 2 c E[x] + c²
        "all white": black - 2 * mean + 1,
        "all ½": black - mean + 0.25,
        "constant": floors.constant.unchecked(images),
        "mean image": floors.mean_image.unchecked(images),
        "best zero-fill": floors.zero_fill.unchecked(images),
        "best nearest": floors.nearest.unchecked(images),
        "best argmax": floors.argmax.unchecked(images),
    }
    if not any(size % 4 for size in images.shape[1:3]):
        known |= {f"{count} of 16 phases black": count / 16 * black for count in range(1, 16)}
    return known


def _cross_entropies(images):
    entropy = floors.cross_entropy.unchecked
    mean = floors.mean_of(images)
    return {
        "perfect": entropy(images),
        "all black": entropy(images, 1e-7, 1e-7),
        "all white": entropy(images, 1 - 1e-7, 1 - 1e-7),
        "all ½": entropy(images, 0.5, 0.5),
        # The cross-entropy is linear in the pixel, so that the mean pixel stands for all.
        "constant": entropy(np.full((1, 1, 1, 1), mean.mean())),
        "mean image": entropy(mean[np.newaxis]),
        "relu as logits": floors.cross_entropy_relu_logits.unchecked(images),
        "double sigmoid": floors.cross_entropy_double_sigmoid.unchecked(images),
    }
