"""The article's protocol: Adam at 0.01, batches of 60, 5,000 steps, mean squared error."""

import contextlib
import io
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from cae_lessons.mnist import check_images
from cae_lessons.models import gives_logits

LOSSES = ("mse", "bce")
# TensorFlow 1's.  Keras' own is ten times larger, and the gradients of a mean over all pixels are
# small enough to feel it.
EPSILON = 1e-8
ARTICLE_STEPS = 5_000
# One call of the compiled loop.  Longer calls are no faster, and Ctrl-C waits for the end of one.
STEPS_PER_CALL = 25


def _default_steps():
    value = os.environ.get("CAE_LESSONS_STEPS", str(ARTICLE_STEPS))
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"CAE_LESSONS_STEPS={value!r}, expected a whole number of 1 or more")
    return int(value)


STEPS = _default_steps()


@dataclass
class TrainingRun:
    """What a training run leaves behind, besides the trained model.

    Attributes
    ----------
    step : list of int
        The steps at which a loss was recorded; step 0 is the loss of the untrained net.
    loss : list of float
        The loss of the batch at each of these steps, before its update.
    seconds : float
        How long the training took.
    settings : dict
        The arguments of `train`, and the model's name.
    interrupted : bool
        Whether the run ended before its last step.

    Examples
    --------
    >>> TrainingRun([0, 1], [0.2, 0.1], 0.5, {"steps": 2}).loss
    [0.2, 0.1]
    """

    step: list
    loss: list
    seconds: float
    settings: dict
    interrupted: bool = False

    def save(self, path):
        """Write the run to a JSON file; an existing file is replaced whole or not at all.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        OSError
            The file can't be written.
        """
        write_whole(path, json.dumps(asdict(self)))

    @classmethod
    def load(cls, path):
        """Read a run that `save` wrote.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        TrainingRun

        Raises
        ------
        OSError
            The file can't be read.
        ValueError
            The file holds no training run.
        """
        try:
            run = cls(**json.loads(Path(path).read_text()))
            whole = isinstance(run.settings, dict) and len(run.step) == len(run.loss)
        except (TypeError, ValueError, RecursionError):
            whole = False
        if not whole:
            raise ValueError(f"{path} holds no training run")
        return run


def write_whole(path, text):
    """Write a text file that is replaced whole or not at all, whenever the process may end.

    Parameters
    ----------
    path : str or path-like
    text : str

    Raises
    ------
    OSError
        The file can't be written.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    except OSError as error:  # it names the partial file, which nobody asked for
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def article_run(name):
    """Return the losses that the article, or a reader of it, logged.

    Parameters
    ----------
    name : {"strided", "zero-fill", "nearest", "nearest-reader"}
        The net; `"nearest-reader"` is the run that reader A reports.

    Returns
    -------
    TrainingRun
        The batch losses; `settings["final"]` is the mean squared error on the 10,000 test
        images, where the article gives it.

    Raises
    ------
    ValueError
        There is no such log.

    Examples
    --------
    >>> article_run("strided").settings["final"]
    0.000948159
    """
    table = Path(__file__).with_name("article_losses.csv").read_text().split()
    rows = [line.split(",") for line in table[1:]]
    if name not in {run for run, _, _ in rows}:
        names = ", ".join(sorted({run for run, _, _ in rows}))
        raise ValueError(f"no log named {name!r}, expected one of {names}")
    logged = {step: float(loss) for run, step, loss in rows if run == name}
    settings = {"model": name, "steps": ARTICLE_STEPS, "final": logged.pop("final", None)}
    return TrainingRun([int(step) for step in logged], list(logged.values()), 0.0, settings)


def train(
    model,
    images,
    *,
    steps=None,
    batch_size=60,
    learning_rate=0.01,
    loss="mse",
    seed=0,
    progress=True,
    before_step=None,
):
    """Train an autoencoder to give back its input, by the article's protocol.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels), as the model expects them.
    steps : int, optional
        How many batches to train on; by default `STEPS`, 5,000 unless the environment variable
        CAE_LESSONS_STEPS says otherwise.
    batch_size : int
    learning_rate : float
        Adam's; its other settings are TensorFlow 1's, ε = 1e-8 among them.
    loss : {"mse", "bce"}
        Mean squared error or binary cross-entropy.  Where the last layer is named `logits`, the
        mean squared error is that of the output's sigmoid, and the cross-entropy takes the
        output as logits, else as probabilities.
    seed : int
        Decides the order of the batches.  The images are shuffled anew for each pass.
    progress : bool
        Whether to show a progress bar: steps, loss, rate and time left.
    before_step : callable, optional
        Called with each step's number before the step, to watch the model.  Slower: without it,
        many steps are taken in one compiled call.

    Returns
    -------
    TrainingRun
        With the loss of every step.  Ctrl-C ends the training early: the model keeps what it
        learned, and the run so far is returned.

    Raises
    ------
    ValueError
        The images are empty, of the wrong shape or dtype, outside [0, 1] or NaN; `steps`,
        `batch_size` or `learning_rate` is not positive, or `seed` negative; the loss is unknown,
        or is a cross-entropy of an output that is no probability; the model's output has not
        the shape of its input.

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
    settings = {
        "model": model.name,
        "steps": STEPS if steps is None else steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "loss": loss,
        "seed": seed,
    }
    images = check_images(images, model.input_shape[1:])
    _check_settings(settings, model)
    for name in ("steps", "batch_size", "seed"):
        settings[name] = int(settings[name])  # NumPy's numbers don't go into a JSON file
    settings["learning_rate"] = float(learning_rate)
    batches = _batches(len(images), settings["steps"], settings["batch_size"], seed)
    history = tf.Variable(tf.zeros(len(batches)))
    optimizer = keras.optimizers.Adam(settings["learning_rate"], epsilon=EPSILON)
    train_steps = _compiled_loop(
        model, optimizer, tf.constant(images), loss_of(model, loss), history
    )
    start = time.perf_counter()
    interrupted = _run(train_steps, batches, history, progress, before_step)
    seconds = time.perf_counter() - start
    losses = history.numpy()[: int(optimizer.iterations)].tolist()
    if interrupted:
        tqdm.write(f"Interrupted after {len(losses):,} of {len(batches):,} steps: kept.")
    return TrainingRun(list(range(len(losses))), losses, seconds, settings, interrupted)


def run_in_batches(model, images, batch_size=500):
    """Return a model's output for many images without holding all its layers' maps at once.

    Parameters
    ----------
    model : keras.Model
        With one output.
    images : numpy.ndarray
        Shape (n, …), as the model expects them.
    batch_size : int

    Returns
    -------
    numpy.ndarray
        Shape (n, …).

    Notes
    -----
    Eager on purpose: `model.predict` compiles each new model first, which takes longer than
    10,000 images do.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> run_in_batches(strided_autoencoder(), np.zeros((2, 28, 28, 1), "float32")).shape
    (2, 28, 28, 1)
    """
    starts = range(0, len(images), batch_size)
    parts = [model(images[start : start + batch_size], training=False) for start in starts]
    return np.concatenate([keras.ops.convert_to_numpy(part) for part in parts])


def reconstruct(model, images):
    """Return a model's pictures of the images: for a logits model, the sigmoid of its output.

    Parameters
    ----------
    model : keras.Model
    images : array_like
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
    images = check_images(images, model.input_shape[1:])
    _check_shapes(model)
    output = run_in_batches(model, images)
    if gives_logits(model):
        output = keras.ops.convert_to_numpy(keras.ops.sigmoid(output))
    return output


def mean_squared_error(model, images):
    """Return the mean squared error of a model's pictures of the images.

    Parameters
    ----------
    model : keras.Model
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels), as the model expects them.

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
    difference = reconstruct(model, images) - check_images(images)
    return float(np.mean(np.square(difference, dtype=np.float64)))


def loss_of(model, loss):
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


def output_activation(model):
    """Name the last activation on the way to the output: an unpooling layer has none.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    str

    Examples
    --------
    >>> from cae_lessons import unpooling_autoencoder
    >>> output_activation(unpooling_autoencoder("nearest"))
    'sigmoid'
    """
    activations = [getattr(layer, "activation", None) for layer in model.layers]
    last = next((activation for activation in reversed(activations) if activation), None)
    return getattr(last, "__name__", type(last).__name__)


def check_loss(loss):
    """Check the name of a loss.

    Parameters
    ----------
    loss : {"mse", "bce"}

    Raises
    ------
    ValueError
        It is none of the allowed ones, which the error names.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss={loss!r}, expected one of 'mse', 'bce'")


def _check_shapes(model):
    if model.output_shape[1:] != model.input_shape[1:]:
        raise ValueError(
            f"the model makes {model.output_shape[1:]} of {model.input_shape[1:]}: an autoencoder "
            "gives back the shape of its input"
        )


def _check_settings(settings, model):
    for name, least in (("steps", 1), ("batch_size", 1), ("seed", 0)):
        value = settings[name]
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or value < least:
            raise ValueError(f"{name}={value!r}, expected a whole number of {least} or more")
    rate = settings["learning_rate"]
    real = isinstance(rate, (int, float, np.number)) and not isinstance(rate, bool)
    if not real or not 0 < rate < np.inf:
        raise ValueError(f"learning_rate={rate!r}, expected a number above 0")
    check_loss(settings["loss"])
    _check_shapes(model)
    activation = output_activation(model)
    if settings["loss"] == "bce" and not gives_logits(model) and activation != "sigmoid":
        raise ValueError(
            f"loss='bce' needs probabilities, but the output activation is {activation}: "
            "end the model in a sigmoid, or name its last layer 'logits'"
        )


def _batches(count, steps, batch_size, seed):
    """Return the indices of each step's batch, shape (steps, batch_size).

    A pass starts where the one before it ended, within a batch if need be, as TensorFlow 1's
    reader did it: every image is used equally often.
    """
    generator = np.random.default_rng(seed)
    passes = -(-steps * batch_size // count)
    order = np.concatenate([generator.permutation(count) for _ in range(passes)])
    return order[: steps * batch_size].reshape(steps, batch_size)


def _compiled_loop(model, optimizer, images, loss_function, history):
    """Return a function that trains on several batches in one call.

    Each step writes its loss into `history` before the call ends: Ctrl-C can only come between
    calls, and so never parts the trained weights from their losses.
    """
    optimizer.build(model.trainable_variables)
    # On the CPU a step compiled by XLA takes up to half again as long; elsewhere it pays.
    compile_with_xla = bool(tf.config.list_physical_devices("GPU"))

    @tf.function(jit_compile=compile_with_xla)
    def train_step(batch):
        with tf.GradientTape() as tape:
            loss = loss_function(batch, model(batch, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    @tf.function
    def train_steps(batches):
        for batch in batches:
            step = tf.cast(optimizer.iterations, tf.int32)
            loss = train_step(tf.gather(images, batch))
            history.scatter_nd_update([[step]], [loss])

    # Traced once, for any number of batches.
    return train_steps.get_concrete_function(tf.TensorSpec([None, None], tf.int64))


def _run(train_steps, batches, history, progress, before_step):
    """Train on all batches, and return whether Ctrl-C ended it early."""
    steps_per_call = 1 if before_step else STEPS_PER_CALL
    with _progress_bar(len(batches), progress) as bar:
        try:
            for start in range(0, len(batches), steps_per_call):
                if before_step:
                    before_step(start)
                call = batches[start : start + steps_per_call]
                train_steps(tf.constant(call))
                bar.set_postfix(loss=f"{history[start + len(call) - 1]:.6f}", refresh=False)
                bar.update(len(call))
        except KeyboardInterrupt:
            return True
    return False


def _progress_bar(steps, progress):
    if not progress:
        return tqdm(total=steps, disable=True)
    if _in_notebook():
        return _NotebookBar(total=steps, unit=" steps", file=io.StringIO(), leave=False)
    # disable=None: shown in a terminal, silent in a log file.
    return tqdm(total=steps, unit=" steps", disable=None, leave=False)


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
