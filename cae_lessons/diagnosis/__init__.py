"""What a run is stuck on: the picture behind a loss; dead maps, dead phases, saturated units.

`known` holds pictures whose loss is known, `evidence` gathers sums in one pass over the images,
`findings` puts them into words, and `looks` holds single looks into a model.
"""

import numbers

import keras
from numpy.typing import ArrayLike

from cae_lessons.batches import DataSet, checked_pairs
from cae_lessons.diagnosis.evidence import gather
from cae_lessons.diagnosis.findings import (
    ModelDiagnosis,
    dead_phases,
    diverged_since,
    find,
    phase_losses,
    stuck_since,
)
from cae_lessons.diagnosis.known import LossDiagnosis, diagnose_loss, known_losses
from cae_lessons.diagnosis.looks import (
    activations,
    dead_maps,
    pre_activations,
    receptive_field,
    watch,
)
from cae_lessons.mnist import check_images
from cae_lessons.runs import TrainingRun
from cae_lessons.training import check_loss

__all__ = [
    "LossDiagnosis",
    "ModelDiagnosis",
    "activations",
    "dead_maps",
    "dead_phases",
    "diagnose",
    "known_losses",
    "phase_losses",
    "pre_activations",
    "receptive_field",
    "stuck_since",
    "watch",
]


def diagnose(
    subject: float | keras.Model,
    images: ArrayLike | DataSet,
    targets: ArrayLike | None = None,
    *,
    loss: str = "mse",
    run: TrainingRun | None = None,
) -> LossDiagnosis | ModelDiagnosis:
    """Say what a loss, or a model, is stuck on.

    Parameters
    ----------
    subject : float or keras.Model
        A loss over the images, or a model of any kind that gives pictures of them.
    images : array_like or tf.data.Dataset
        Floats in [0, 1], shape (n, height, width, channels).
    targets : array_like, optional
        What the pictures should be, for denoising; by default the images.
    loss : {"mse", "bce"}
        The kind of a given loss: mean squared error, or binary cross-entropy in nats.
    run : TrainingRun, optional
        The training, to find out since when the loss hasn't fallen or hasn't been a number.

    Returns
    -------
    LossDiagnosis or ModelDiagnosis
        Prints as a short report.

    Raises
    ------
    ValueError
        The images aren't valid, the model doesn't take them, or `loss` is unknown.
    TypeError
        The subject is neither a number nor a model.

    Notes
    -----
    A loss alone names a suspect; the pictures show whether it is guilty.  The loss over a batch of
    60 shuffled images differs by about a twentieth from that over all images: pass the images that
    the loss was measured on, or a mean over many steps, and only once the loss stands still.

    Layers with a relu, a sigmoid or a tanh are judged, however these are written.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.zeros((4, 8, 8, 1))
    >>> images[:, ::4, ::4] = 1
    >>> diagnose(1 / 16, images).verdict
    'all black'
    """
    check_loss(loss)
    if isinstance(subject, numbers.Real):
        since = None if run is None else diverged_since(run)
        return diagnose_loss(float(subject), check_images(images), loss, since)
    if not isinstance(subject, keras.Model):
        kind = type(subject).__name__
        raise TypeError(f"subject must be a loss (a number) or a keras.Model, got a {kind}")
    images, targets = checked_pairs(subject, images, targets)
    return find(gather(subject, images, targets), targets, subject, run)
