"""The diagnosis for `model.fit`: it watches the training, and says what the net is stuck on."""

import itertools

import keras
import numpy as np
from numpy.typing import ArrayLike

from cae_lessons.batches import checked_pairs
from cae_lessons.diagnosis import ModelDiagnosis
from cae_lessons.diagnosis.evidence import gather
from cae_lessons.diagnosis.findings import find

# What the book's study measured on the nets of its chapters, at the article's settings.
SIGMOID = "lower the learning rate to a third, or end in logits and train with cross-entropy"
RELU = "lower the learning rate and the spread of the first weights, or leave the output linear"
REMEDIES = {"sigmoid": SIGMOID, "relu": RELU}
SURE = 3  # looks in a row: the pictures of an untrained net may be one for a moment
MOST_IMAGES = 250


class Diagnosis(keras.callbacks.Callback):
    """Look at a net's pictures during `fit`, and say in one line when it is stuck, and on what.

    It speaks once for each kind of trouble, as soon as it has seen it three looks in a row: one
    picture for all images, dead output phases; at once where the loss isn't a number any more.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels): what to look at.  Of more than 250
        the first 250 are taken.
    targets : array_like, optional
        What the pictures should be, for denoising; by default the images.
    every : int
        Batches between two looks.
    stop : bool
        Whether to end the training where the net has collapsed or diverged.
    verbose : int
        0 to say nothing; the findings are kept all the same.

    Attributes
    ----------
    findings : list of (int, ModelDiagnosis)
        The steps of all looks, and what was found.
    messages : list of str
        What was said.

    Raises
    ------
    ValueError
        The images or targets aren't such arrays, or `every` isn't a positive whole number.

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
        images: ArrayLike,
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
        self.images, self.targets = images[:MOST_IMAGES], targets[:MOST_IMAGES]
        self.every, self.stop, self.verbose = every, stop, verbose
        self.findings: list[tuple[int, ModelDiagnosis]] = []
        self.messages: list[str] = []
        self._step = self._before_epoch = self._last_look = 0
        self._said: set[str] = set()

    def on_epoch_begin(self, epoch, logs=None):
        """Count the batches over all epochs."""
        self._before_epoch = self._step

    def on_train_batch_end(self, batch, logs=None):
        """Look every so many batches; speak at once where the loss isn't a number."""
        self._step = self._before_epoch + batch + 1
        if not np.isfinite((logs or {}).get("loss", 0.0)):
            self._say("diverged", f"since step {self._step}, the loss isn't a number", None)
        elif self._step - self._last_look >= self.every:
            self._last_look = self._step
            evidence = gather(self.model, self.images, self.targets)
            self.findings.append((self._step, find(evidence, self.targets, self.model)))
            self._judge()

    def _judge(self):
        """Speak where the last looks agree."""
        verdict = self.findings[-1][1].verdict
        row = list(
            itertools.takewhile(lambda look: look[1].verdict == verdict, self.findings[::-1])
        )
        if len(row) < SURE:
            return
        found, since = row[0][1], f"since step {row[-1][0]}"
        if verdict == "collapsed":
            self._say(verdict, f"{since}, one picture for all images: {found.picture}", found)
        elif verdict == "partly dead":
            self._say(verdict, f"{since}, {found.picture}", found)
        elif verdict == "diverged":
            self._say(verdict, f"{since}, the pictures hold NaN or infinity", None)

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
    if found.output_activation == "sigmoid" and found.picture in ("all black", "all white"):
        yield f"{found.output_layer} saturated"
    for path, share in found.saturated.items():
        if share > 0.9:
            yield f"{path} saturated"
    for path, dead in found.dead_maps.items():
        if dead.all():
            yield f"{path} dead"


def _remedy(found):
    return REMEDIES.get(found and found.output_activation, "lower the learning rate")
