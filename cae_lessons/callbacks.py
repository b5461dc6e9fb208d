"""The diagnosis for `model.fit`: it watches the training and says what the net is stuck on."""

import itertools
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from cae_lessons.batches import DataSet, checked_pairs
from cae_lessons.diagnosis import ModelDiagnosis
from cae_lessons.diagnosis.evidence import gather
from cae_lessons.diagnosis.findings import find

# What the book's study measured on the nets of its chapters, at the article's settings.
SIGMOID = (
    "try a last layer without activation and BinaryCrossentropy(from_logits=True), or a third of "
    "the learning rate"
)
RELU = (
    "try a linear output, or a smaller learning rate together with a smaller spread of the initial "
    "weights"
)
REMEDIES = {"sigmoid": SIGMOID, "relu": RELU}
SURE = 3  # looks in a row, if a layer lets no gradient pass
SURE_WITHOUT_CAUSE = 10  # if none does: healthy nets draw one picture at first, too
MOST_IMAGES = 250


class Diagnosis(keras.callbacks.Callback):
    """Watch a net's pictures during `fit`, and print one line when it is stuck, and on what.

    It prints one message for each kind of trouble.  For one picture for all images, or for dead
    output phases, it waits until three looks in a row show them, if some layer is saturated or
    dead, and for ten looks otherwise; for a loss that isn't a number it doesn't wait.  A message
    may turn out to be wrong: a saturated net may wake after hundreds of steps, so `stop=True` may
    end a training that would have recovered.

    Parameters
    ----------
    images : array_like or tf.data.Dataset
        Floats in [0, 1], shape (n, height, width, channels): what to look at.  Only the
        first 250 are used.
    targets : array_like, optional
        What the pictures should be, for denoising; by default the images.
    every : int
        Batches between two looks.
    stop : bool
        Whether to end the training when the net has collapsed or diverged.
    verbose : int
        0 to print nothing; the findings are kept all the same.

    Attributes
    ----------
    findings : list of (int, ModelDiagnosis)
        The steps of all looks in the last training, and what was found.
    messages : list of str
        The messages in it.

    Raises
    ------
    ValueError
        The images or targets aren't valid, or `every` isn't a positive whole number.

    Notes
    -----
    The remedies are those that the book measured; see "Why training collapses".

    Examples
    --------
    >>> from cae_lessons import unpooling_autoencoder
    >>> images = np.zeros((60, 28, 28, 1), "float32")
    >>> images[:, 10:20, 10:20] = np.linspace(0, 1, 60).reshape(-1, 1, 1, 1)
    >>> model = unpooling_autoencoder("nearest")
    >>> model.compile(keras.optimizers.Adam(0.01), "mse")
    >>> watch = Diagnosis(images, every=10, verbose=0)
    >>> history = model.fit(images, images, batch_size=1, verbose=0, callbacks=[watch])
    >>> [step for step, _ in watch.findings]
    [10, 20, 30, 40, 50, 60]
    """

    def __init__(
        self,
        images: ArrayLike | DataSet,
        targets: ArrayLike | None = None,
        *,
        every: int = 50,
        stop: bool = False,
        verbose: int = 1,
    ):
        super().__init__()
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ValueError(f"every={every!r}, must be a whole number of 1 or more")
        images, targets = checked_pairs(None, images, targets)
        self.images: np.ndarray = images[:MOST_IMAGES]
        self.targets: np.ndarray = targets[:MOST_IMAGES]
        self.every: int = every
        self.stop: bool = stop
        self.verbose: int = verbose
        self.on_train_begin()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Start again: one callback may watch several trainings, one after the other."""
        self.findings: list[tuple[int, ModelDiagnosis]] = []
        self.messages: list[str] = []
        self._step = self._before_epoch = self._last_look = 0
        self._said: set[str] = set()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Count the batches over all epochs."""
        self._before_epoch = self._step

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look every so many batches; print a message at once if the loss isn't a number."""
        self._step = self._before_epoch + batch + 1  # `batch` jumps with steps_per_execution
        if not np.isfinite((logs or {}).get("loss", 0.0)):
            self._say("diverged", f"since step {self._step}, the loss isn't a number", None)
        elif self._step - self._last_look >= self.every:
            self._last_look = self._step
            evidence = gather(self.model, self.images, self.targets)
            self.findings.append((self._step, find(evidence, self.targets, self.model)))
            self._judge()

    def _judge(self):
        """Print a message if enough of the last looks agree."""
        found = self.findings[-1][1]
        row = list(
            itertools.takewhile(lambda look: look[1].verdict == found.verdict, self.findings[::-1])
        )
        stuck = {"collapsed": "one picture for all images: ", "partly dead": ""}
        enough = SURE if any(_causes(found)) else SURE_WITHOUT_CAUSE
        if found.verdict in stuck and len(row) >= enough:
            what = f"since step {row[-1][0]}, {stuck[found.verdict]}{found.picture}"
            self._say(found.verdict, what, found)

    def _say(self, verdict, what, found):
        if verdict in self._said:
            return
        self._said.add(verdict)
        self.messages.append("; ".join([what, *_causes(found), _remedy(found)]))
        if self.verbose:
            print(f"\n{self.messages[-1]}")
        if self.stop and verdict in ("collapsed", "diverged"):
            self.model.stop_training = True


def _causes(found):
    """Name the layers that let hardly any gradient pass."""
    if found is None:
        return
    if found.output_activation == "sigmoid" and found.saturated["picture"] > 0.01:
        yield f"{found.output_layer} saturated"
    for path, share in found.saturated.items():
        if share > 0.9:
            yield f"{path} saturated"
    for path, dead in found.dead_maps.items():
        if dead.all():
            yield f"{path} dead"
    if found.verdict == "partly dead" and found.output_activation == "relu":
        yield f"{found.output_layer} partly dead"


def _remedy(found):
    return REMEDIES.get(found and found.output_activation, "try a smaller learning rate")
