"""The article's protocol: Adam at 0.01, batches of 60, 5,000 steps, mean squared error."""

import hashlib
import inspect
import io
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike
from tqdm import tqdm

from cae_lessons.batches import ArraySource, DataSet, DataSetSource, checked_pairs, in_parts
from cae_lessons.cores import parts_of_a_batch, side_by_side
from cae_lessons.models import gives_logits
from cae_lessons.runs import ARTICLE_STEPS, TrainingRun, article_run
from cae_lessons.tracing import output_activation, trace

__all__ = [
    "STEPS",
    "TrainingRun",
    "article_run",
    "loss_of",
    "mean_squared_error",
    "reconstruct",
    "train",
]

LOSSES = ("mse", "bce")
# TensorFlow 1's.  Keras' own is ten times larger, and the gradients of a mean over all pixels are
# small enough to feel it.
EPSILON = 1e-8
# One call of the compiled loop.  Longer calls are no faster, and Ctrl-C waits for the end of one.
STEPS_PER_CALL = 25


def _default_steps():
    value = os.environ.get("CAE_LESSONS_STEPS", str(ARTICLE_STEPS))
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"CAE_LESSONS_STEPS={value!r}, expected a whole number of 1 or more")
    return int(value)


STEPS = _default_steps()


def train(
    model: keras.Model,
    images: ArrayLike | DataSet,
    targets: ArrayLike | None = None,
    *,
    steps: int | None = None,
    batch_size: int = 60,
    learning_rate: float = 0.01,
    warmup_steps: int = 0,
    loss: str = "mse",
    seed: int = 0,
    progress: bool = True,
    before_step: Callable[[int], None] | None = None,
    resume: TrainingRun | None = None,
) -> TrainingRun:
    """Train an autoencoder to give back its input, by the article's protocol.

    Each call starts a new Adam, which knows nothing of earlier gradients: on a net that is trained
    already, its first steps have full length and throw the net back.  To go on with a run as if it
    had never ended, pass it as `resume`.

    Parameters
    ----------
    model : keras.Model
        Functional, sequential or subclassed; changed in place.
    images : array_like or tf.data.Dataset
        Floats in [0, 1], shape (n, height, width, channels), as the model expects them.  A data
        set yields images, or pairs of images and targets, one by one or in batches; it keeps its
        own order and its own batches, and starts again when it ends.  Of a data set only the first
        batch is checked.
    targets : array_like, optional
        What the model should return for each image, of the shape of its pictures; by default the
        images themselves.  For denoising, the images are noisy and the targets clean; where
        targets are given, the images may leave [0, 1], by 10 at most.  `noise.noisy_batches` makes
        a data set with fresh noise in each batch.
    steps : int, optional
        How many batches to train on; by default `STEPS`, 5,000 unless the environment variable
        CAE_LESSONS_STEPS says otherwise.  With `resume`, those of the earlier run count.
    batch_size : int
    learning_rate : float
        Adam's; its other settings are TensorFlow 1's, ε = 1e-8 among them.
    warmup_steps : int
        Over how many steps the learning rate rises to its value, in equal steps.
    loss : {"mse", "bce"}
        Mean squared error or binary cross-entropy.  Where the model gives logits (its last layer
        is named `logits`, or it was compiled with a loss of logits), the mean squared error is
        that of the output's sigmoid, and the cross-entropy takes the output as logits, else as
        probabilities.  The model's penalties (its regularizers) are added to what is minimised,
        as `fit` does, but not to what is recorded.
    seed : int
        Decides the order of the batches.  The images are shuffled anew for each pass.
    progress : bool
        Whether to show a progress bar: steps, loss, rate and time left.
    before_step : callable, optional
        Called with each step's number before the step, to watch the model.  Slower: without it,
        many steps are taken in one compiled call.
    resume : TrainingRun, optional
        The run that trained this model, to go on where it ended, with its settings and in its
        order of batches: after Ctrl-C, or for more `steps`.  The images must be the same; a data
        set that shuffles anew for each pass can't be gone on with exactly.

    Returns
    -------
    TrainingRun
        With the loss of every step.  Ctrl-C ends the training early: the model keeps what it
        learned, and the run so far is returned.

    Raises
    ------
    ValueError
        The images or targets are empty, of the wrong shape or dtype, outside [0, 1] or NaN; a
        setting is out of its range; the loss is unknown, or is a cross-entropy of an output that
        isn't a probability; the model's pictures haven't the shape of the targets; the model has
        no trainable weights, or a `train_step` or `compute_loss` of its own; `resume` is of
        another model.
    RuntimeError
        Keras runs on another backend than TensorFlow.

    Notes
    -----
    Where TensorFlow's operations have one thread each, which the package asks for on two cores, a
    step computes as many parts of its batch side by side as there are cores, if all layers treat
    each image by itself.  This is the same up to rounding.

    References
    ----------
    The article's section 2.  Kingma and Ba, "Adam: a method for stochastic optimization",
    2015.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> run = train(strided_autoencoder(), np.zeros((60, 28, 28, 1), "float32"), steps=3)
    >>> run.step
    [0, 1, 2]
    """
    need_tensorflow("train")
    given = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "warmup_steps": warmup_steps,
        "loss": loss,
        "seed": seed,
    }
    settings = _settings(model, given, resume)
    done = len(resume.loss) if resume else 0
    source = _source(model, images, targets, settings, done)
    _check_first_batch(model, *source.first, settings["loss"])
    optimizer = _optimizer(model, settings, resume)
    parts = parts_of_a_batch(model, source.batch_size)
    loop = Loop(model, optimizer, source.take, settings["loss"], settings["steps"], parts)
    start = time.perf_counter()
    with _progress_bar(settings["steps"], done, progress) as bar:
        interrupted = _run(loop, source.batches, done, bar, before_step)
    seconds = time.perf_counter() - start + (resume.seconds if resume else 0)
    losses = [*(resume.loss if resume else []), *loop.losses()]
    if interrupted:
        tqdm.write(
            f"Interrupted after {len(losses):,} of {settings['steps']:,} steps. The model keeps "
            "what it has learned; to go on from there, pass the run as `resume`."
        )
    state = [*(np.asarray(variable) for variable in optimizer.variables), _digest(model)]
    return TrainingRun(list(range(len(losses))), losses, seconds, settings, interrupted, state)


class Loop:
    """The compiled training loop: call it with several steps' batches.

    Each step writes its loss before the call ends: Ctrl-C can only come between calls, and so
    never parts the trained weights from their losses.

    Parameters
    ----------
    model : keras.Model
    optimizer : keras.optimizers.Optimizer
        Built.
    take : callable
        From one row of the batches to a batch's images and targets.
    loss : {"mse", "bce"}
    most : int
        How many steps there may be.
    parts : int
        Into how many parts a step divides its batch, for the cores to work side by side.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        take: Callable[[Any], tuple[Any, Any]],
        loss: str,
        most: int,
        parts: int = 1,
    ):
        import tensorflow as tf

        self._first = int(optimizer.iterations)
        self._optimizer = optimizer
        self._history = tf.Variable(tf.zeros(most))
        loss_function = loss_of(model, loss)
        # On the CPU a step compiled by XLA takes up to half again as long; elsewhere it pays.
        compile_with_xla = bool(tf.config.list_physical_devices("GPU"))

        @tf.function(jit_compile=compile_with_xla)
        def train_step(images, targets):
            with tf.GradientTape() as tape:
                # No part needs another, so TensorFlow computes them at the same time.
                losses = [
                    share * loss_function(y, model(x, training=True))
                    for x, y, share in _divide(images, targets, parts)
                ]
                loss = tf.add_n(losses)
                minimised = tf.add_n([loss, *(tf.cast(x, loss.dtype) for x in model.losses)])
            gradients = tape.gradient(minimised, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
            return loss

        @tf.function
        def train_steps(batches):
            for batch in batches:
                step = tf.cast(optimizer.iterations, tf.int32)
                loss = train_step(*take(batch))
                self._history.scatter_nd_update([[step]], [loss])

        # Traced once, for any number of batches.
        self._steps = train_steps.get_concrete_function(tf.TensorSpec([None, None], tf.int64))

    def __call__(self, batches: np.ndarray) -> None:
        """Train on several batches."""
        import tensorflow as tf

        self._steps(tf.constant(batches))

    def losses(self) -> list[float]:
        """Return the losses of the steps that were taken."""
        return self._history.numpy()[self._first : int(self._optimizer.iterations)].tolist()


def need_tensorflow(what: str) -> Any:
    """Import TensorFlow, or say that a function needs it.

    Parameters
    ----------
    what : str
        The function that needs it.

    Returns
    -------
    module

    Raises
    ------
    RuntimeError
        Keras runs on another backend.

    Examples
    --------
    >>> need_tensorflow("train").__name__
    'tensorflow'
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise RuntimeError(
            f"cae.{what} needs Keras' TensorFlow backend, but Keras runs on {backend}: set the "
            "environment variable KERAS_BACKEND=tensorflow before Python starts, or train with "
            "model.fit"
        )
    import tensorflow

    return tensorflow


def reconstruct(model: keras.Model, images: ArrayLike | DataSet) -> np.ndarray:
    """Return a model's pictures of the images: for a logits model, the sigmoid of its output.

    Parameters
    ----------
    model : keras.Model
        Functional, sequential or subclassed, with one input and one output.
    images : array_like or tf.data.Dataset
        Floats in [0, 1], shape (n, height, width, channels), as the model expects them.

    Returns
    -------
    numpy.ndarray
        float32, of the images' shape.

    Raises
    ------
    ValueError
        The images are empty, of the wrong shape or dtype, outside [0, 1] or NaN; or the model's
        output has not their shape.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> reconstruct(strided_autoencoder(), np.zeros((2, 28, 28, 1), "float32")).shape
    (2, 28, 28, 1)
    """
    images, _ = checked_pairs(model, images)

    def pictures(part):
        return pictures_of(model, images[part], images[part])

    return np.concatenate(list(side_by_side(pictures, in_parts(len(images)))))


def mean_squared_error(
    model: keras.Model,
    images: ArrayLike | DataSet,
    targets: ArrayLike | None = None,
) -> float:
    """Return the mean squared error of a model's pictures of the images.

    Parameters
    ----------
    model : keras.Model
        Functional, sequential or subclassed, with one input and one output.
    images : array_like or tf.data.Dataset
        Floats in [0, 1], shape (n, height, width, channels), as the model expects them.  With
        targets of their own, noisy images may leave [0, 1], by 10 at most.
    targets : array_like, optional
        What the pictures should be, in [0, 1]; by default the images.

    Returns
    -------
    float
        The mean over all images, pixels and channels.

    Raises
    ------
    ValueError
        As `reconstruct`.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> mean_squared_error(strided_autoencoder(), np.zeros((2, 28, 28, 1), "float32")) > 0
    True
    """
    images, targets = checked_pairs(model, images, targets)

    def squared_error(part):
        pictures = pictures_of(model, images[part], targets[part])
        return np.sum(np.square(pictures - targets[part], dtype=np.float64))

    return float(sum(side_by_side(squared_error, in_parts(len(images))))) / targets.size


def pictures_of(model: keras.Model, images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return a model's pictures of one batch of checked images, in the targets' shape.

    Parameters
    ----------
    model : keras.Model
    images, targets : numpy.ndarray

    Returns
    -------
    numpy.ndarray
        float32, of the targets' shape.

    Raises
    ------
    ValueError
        The model's output hasn't that shape.
    """
    output = model(images, training=False)
    check_output(model, output, targets)
    pictures = ops.sigmoid(output) if gives_logits(model) else output
    return ops.convert_to_numpy(ops.cast(pictures, "float32"))


def check_output(model: keras.Model, output: Any, targets: np.ndarray) -> None:
    """Check that a model's output is one picture for each target, of its shape.

    Parameters
    ----------
    model : keras.Model
    output : tensor
    targets : numpy.ndarray

    Raises
    ------
    ValueError
        It isn't.
    """
    if not ops.is_tensor(output):
        raise ValueError(
            f"{model.name} returns {type(output).__name__}, must return one tensor of pictures"
        )
    if tuple(output.shape) != targets.shape:
        raise ValueError(
            f"{model.name} makes pictures of shape {tuple(output.shape[1:])}, must make "
            f"{targets.shape[1:]}: an autoencoder gives back the shape of its targets"
        )


def loss_of(model: keras.Model, loss: str) -> Callable[..., Any]:
    """Return the loss that `train` minimises, a function of the images and the model's output.

    Parameters
    ----------
    model : keras.Model
    loss : {"mse", "bce"}

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        The loss is unknown.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> float(loss_of(strided_autoencoder(), "mse")([0.0], [0.5]))
    0.25
    """
    check_loss(loss)
    if loss == "bce":
        return keras.losses.BinaryCrossentropy(from_logits=gives_logits(model))
    squared_error = keras.losses.MeanSquaredError()
    if gives_logits(model):
        return lambda images, logits: squared_error(images, keras.ops.sigmoid(logits))
    return squared_error


def check_loss(loss: str) -> None:
    """Check the name of a loss.

    Parameters
    ----------
    loss : {"mse", "bce"}

    Raises
    ------
    ValueError
        It isn't one of the allowed ones, which the error names.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss={loss!r}, expected one of 'mse', 'bce'")


def _divide(images, targets, parts):
    """Yield the parts of a batch, and the share that each has in the batch's mean."""
    import tensorflow as tf

    if parts == 1:
        yield images, targets, 1.0
        return
    count = tf.shape(images)[0]
    for part in range(parts):
        first, last = count * part // parts, count * (part + 1) // parts
        # The mean of an empty part would be NaN: it gets an image, which counts for nothing.
        rows = slice(first, tf.maximum(last, first + 1))
        yield images[rows], targets[rows], tf.cast((last - first) / count, keras.config.floatx())


def _settings(model, given, resume):
    """Return a run's settings, checked, those of the run that it resumes included."""
    settings = {"model": model.name, **(given if resume is None else _resumed(given, resume))}
    if settings["steps"] is None:
        settings["steps"] = STEPS
    _check_settings(settings)
    for name in ("steps", "batch_size", "warmup_steps", "seed"):
        settings[name] = int(settings[name])  # NumPy's numbers don't go into a JSON file
    settings["learning_rate"] = float(settings["learning_rate"])
    return settings


def _resumed(given, resume):
    """Return the settings of a run that goes on: its own, but for more steps."""
    if not isinstance(resume, TrainingRun) or resume.optimizer is None:
        raise ValueError(f"resume must be a TrainingRun that `train` returned, got {resume!r}")
    for name, value in given.items():
        default = inspect.signature(train).parameters[name].default
        if name != "steps" and value not in (default, resume.settings[name]):
            raise ValueError(
                f"{name}={value!r}, but the run to resume has {resume.settings[name]!r}: leave it "
                "out, or start a new run"
            )
    steps = resume.settings["steps"] if given["steps"] is None else given["steps"]
    if isinstance(steps, int) and steps <= len(resume.loss):
        raise ValueError(
            f"steps={steps}, but the run to resume has taken {len(resume.loss)} already: give "
            "`steps`, counted from its start"
        )
    return {**given, **resume.settings, "steps": steps}


def _check_settings(settings):
    for name, least in (("steps", 1), ("batch_size", 1), ("warmup_steps", 0), ("seed", 0)):
        value = settings[name]
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or value < least:
            raise ValueError(f"{name}={value!r}, expected a whole number of {least} or more")
    rate = settings["learning_rate"]
    real = isinstance(rate, (int, float, np.number)) and not isinstance(rate, bool)
    if not real or not 0 < rate < np.inf:
        raise ValueError(f"learning_rate={rate!r}, expected a number above 0")
    check_loss(settings["loss"])


def _source(model, images, targets, settings, done):
    steps, batch_size = settings["steps"], settings["batch_size"]
    if not hasattr(images, "element_spec"):
        pair = checked_pairs(model, images, targets)
        return ArraySource(*pair, steps, batch_size, settings["seed"])
    if targets is not None:
        raise ValueError("a data set yields its own targets: targets must be None")
    source = DataSetSource(images, steps, batch_size, done)
    paired = isinstance(images.element_spec, tuple)
    checked_pairs(model, *(source.first if paired else source.first[:1]))
    return source


def _check_first_batch(model, images, targets, loss):
    """Run a few images before anything is compiled: what goes wrong then can be explained."""
    found = trace(model, images)
    check_output(model, found.output, targets)
    own = [n for n in ("train_step", "compute_loss") if _overrides(model, n)]
    if own:
        raise ValueError(
            f"{model.name} has a {own[0]} of its own, which cae.train would ignore: use model.fit, "
            "and watch it with cae.callbacks.Diagnosis"
        )
    if not model.trainable_variables:
        raise ValueError(
            f"{model.name} has no weights to train: where they are frozen, set "
            "layer.trainable = True"
        )
    if loss == "bce" and not gives_logits(model):
        _check_probabilities(found)


def _overrides(model, method):
    return getattr(type(model), method) is not getattr(keras.Model, method)


def _check_probabilities(found):
    activation = output_activation(found)
    if activation == "sigmoid":
        return
    mend = "end the model in a sigmoid, or name its last layer 'logits'"
    if activation in ("linear", "relu", "tanh"):
        raise ValueError(
            f"loss='bce' needs probabilities, but the output activation is {activation}: {mend}"
        )
    lowest, highest = float(ops.min(found.output)), float(ops.max(found.output))
    if lowest < 0 or highest > 1:
        raise ValueError(
            f"loss='bce' needs probabilities, but the first pictures lie in [{lowest:.3g}, "
            f"{highest:.3g}]: {mend}"
        )


def _optimizer(model, settings, resume):
    rate, warmup = settings["learning_rate"], settings["warmup_steps"]
    if warmup:
        rate = keras.optimizers.schedules.PolynomialDecay(rate / warmup, warmup, rate)
    optimizer = keras.optimizers.Adam(rate, epsilon=EPSILON)
    optimizer.build(model.trainable_variables)
    if resume is not None:
        *state, digest = resume.optimizer
        if not np.array_equal(digest, _digest(model)):
            raise ValueError(
                f"{model.name} isn't as the run to resume left it: its weights have changed since"
            )
        for variable, value in zip(optimizer.variables, state, strict=True):
            variable.assign(value)
    return optimizer


def _digest(model):
    """Return a few bytes that tell whether a model's weights are the same as before."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def _run(loop, batches, done, bar, before_step):
    """Train on the batches from `done` on, and return whether Ctrl-C ended it early."""
    steps_per_call = 1 if before_step else STEPS_PER_CALL
    try:
        for start in range(done, len(batches), steps_per_call):
            if before_step:
                before_step(start)
            call = batches[start : start + steps_per_call]
            loop(call)
            bar.set_postfix(loss=f"{loop.losses()[-1]:.6f}", refresh=False)
            bar.update(len(call))
    except KeyboardInterrupt:
        return True
    return False


def _progress_bar(steps, done, progress):
    settings = {"total": steps, "initial": done, "unit": " steps"}
    if not progress:
        return tqdm(**settings, disable=True)
    if _in_notebook():
        return _NotebookBar(**settings, file=io.StringIO(), leave=False)
    # disable=None: shown in a terminal, silent in a log file.
    return tqdm(**settings, disable=None, leave=False)


def _in_notebook():
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in shell.config


class _NotebookBar(tqdm):
    """A bar in a cell's output that takes itself back, so that a saved notebook holds none."""

    def display(self, msg=None, pos=None):
        """Show the bar's current text, or `msg`."""
        from IPython.display import display

        data = {"text/plain": str(self) if msg is None else msg} if msg != "" else {}
        if not hasattr(self, "_handle"):
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def close(self):
        """Take the bar's text back."""
        if not self.disable:
            self.display("")
        super().close()
