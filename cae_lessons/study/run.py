"""One run: a variant with a seed, trained, measured and diagnosed."""

import functools
import importlib.metadata
import math
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import keras
import numpy as np

from cae_lessons import floors
from cae_lessons.batches import in_parts, shuffled
from cae_lessons.diagnosis import ModelDiagnosis, diagnose
from cae_lessons.mnist import load_mnist
from cae_lessons.models import (
    fold_unpooling,
    narrow_autoencoder,
    residual,
    strided_autoencoder,
    unpooling_autoencoder,
)
from cae_lessons.noise import noisy_batches
from cae_lessons.runs import TrainingRun
from cae_lessons.study.measures import loss_on_test_images, measured
from cae_lessons.training import EPSILON, loss_of, train

BATCH_SIZE = 60
CURVE_POINTS = 60
DIAGNOSED_IMAGES = 500


def build_model(settings: Mapping[str, Any]) -> keras.Model:
    """Return the untrained model of a task.

    Parameters
    ----------
    settings : dict
        As `tasks` returns them.

    Returns
    -------
    keras.Model

    Examples
    --------
    >>> from cae_lessons.study import tasks
    >>> build_model(tasks("strided/relu-relu/5000-steps")[0]).name
    'strided_autoencoder'
    """
    relu_as_logits = settings["output"] == "relu-as-logits"
    options = {name: settings[name] for name in ("hidden", "decoder_bias", "output_bias", "seed")}
    options["output"] = "relu" if relu_as_logits else settings["output"]
    options["kernel_initializer"] = _initializer(settings)
    if settings["net"] == "narrow":
        code = {name: settings[name] for name in ("code_size", "code_channels")}
        model = narrow_autoencoder(**code, **options)
    elif settings["net"] == "strided":
        model = strided_autoencoder(**options)
    elif settings["net"] == "residual":
        model = residual(strided_autoencoder(**options))
    else:
        unpooling = settings["net"].removeprefix("mirrored-")
        order = "deconv-unpool" if unpooling == settings["net"] else "unpool-deconv"
        model = unpooling_autoencoder(unpooling, decoder_order=order, **options)
    if settings["batch_normalization"]:
        model = _with_batch_normalization(model, settings["batch_normalization"])
    return as_logits(model) if relu_as_logits else model


def as_logits(model: keras.Model) -> keras.Model:
    """Return a model whose output is taken as logits, whatever its activation.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    keras.Model
        The same model with one more layer, named `logits`, which changes nothing.

    Examples
    --------
    >>> as_logits(strided_autoencoder()).layers[-1].name
    'logits'
    """
    logits = keras.layers.Activation("linear", name="logits")(model.output)
    return keras.Model(model.input, logits, name=model.name)


def run_task(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train, measure and diagnose one run.

    Parameters
    ----------
    settings : dict
        As `tasks` returns them.

    Returns
    -------
    dict
        The record: the settings; the loss curve, thinned to windows that grow with the step
        (`curve_step`, `curve_loss`), and the batch's loss before the first step and after 100
        (`loss_0`, `loss_100`); `test_loss`, the mean squared error on the test images (of a
        denoiser, with noise on them), its `floor` and the `excess` over it; `measured`, see
        `study.measured`; `test_cross_entropy`, the cross-entropy on the test images in
        nats, for sigmoids and logits alone; the diagnosis; seconds and versions.

    Notes
    -----
    The mirrored zero-fill and nearest nets are trained as `fold_unpooling` folds them: the same
    weights, in less time.  So their seconds say little about the nets as they are.
    """
    digits = _digits()
    model = build_model(settings)
    loss = "bce" if "logits" in settings["output"] else "mse"
    seen = digits.train.labels != settings["left_out"]
    chosen = digits.train.images[seen][: settings["train_images"]]
    run = _train(model, chosen, loss, settings)
    images = digits.test.images[:DIAGNOSED_IMAGES]
    found = cast(ModelDiagnosis, diagnose(model, images, run=run))
    phases = found.dead_phases
    test_loss = loss_on_test_images(model, settings, digits)
    floor = _floor(settings["net"])
    is_probability = settings["output"] in ("sigmoid", "logits", "relu-as-logits")
    is_probability &= not settings["noise"]
    entropy = _cross_entropy(model, digits.test.images) if is_probability else None
    also = measured(model, settings, digits)
    steps, losses = thin(run.loss)
    return {
        **settings,
        "loss": loss,
        "verdict": found.verdict,
        "test_loss": _round(test_loss),
        "floor": _round(floor),
        "excess": _round(test_loss - floor),
        "test_cross_entropy": None if entropy is None else _round(entropy),
        "measured": {name: _round(value) for name, value in also.items()},
        "loss_0": _round(run.loss[0]),
        "loss_100": _round(run.loss[100]) if len(run.loss) > 100 else None,
        "picture": found.picture,
        "since": found.since,
        "variation": _round(found.variation),
        "dead_phases": 0 if phases is None else int(phases.sum()),
        "dead_maps": {layer: int(dead.sum()) for layer, dead in found.dead_maps.items()},
        "saturated": {layer: _round(share) for layer, share in found.saturated.items()},
        "parameters": model.count_params(),
        "seconds": round(run.seconds, 1),
        "curve_step": steps,
        "curve_loss": [_round(value) for value in losses],
        "versions": versions(),
    }


def thin(losses: Sequence[float], points: int = CURVE_POINTS) -> tuple[list[float], list[float]]:
    """Average a loss curve over windows that grow with the step; the first few steps are kept.

    Parameters
    ----------
    losses : sequence of float
        The loss of each step.
    points : int
        About how many values to keep.

    Returns
    -------
    steps : list of float
        The windows' middles.
    means : list of float
        Their means.

    Examples
    --------
    >>> thin([1, 2, 3, 4, 5, 6], points=3)
    ([0.0, 1.0, 3.5], [1.0, 2.0, 4.5])
    """
    edges = np.unique(np.geomspace(1, len(losses), points).astype(int))[:-1]
    windows = np.split(np.arange(len(losses)), edges)
    values = np.asarray(losses)
    return [float(w.mean()) for w in windows], [float(values[w].mean()) for w in windows]


def versions() -> dict[str, str]:
    """Return the versions of what a record was made with.

    Returns
    -------
    dict of str to str
    """
    packages = ("cae-lessons", "keras", "numpy", "tensorflow")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), "machine": platform.machine(), **found}


def _train(model, images, loss, settings):
    """Train a task's model, by `train` if it has the options."""
    options = {name: settings[name] for name in ("steps", "learning_rate", "seed")}
    if settings["clip_norm"]:
        return _train_with_clipping(model, images, settings["clip_norm"], **options)
    options["warmup_steps"] = settings["warmup_steps"]
    if settings["net"] in ("mirrored-nearest", "mirrored-zero-fill"):
        model = fold_unpooling(model)  # the same weights, in fewer products
    if settings["noise"]:
        images = noisy_batches(
            images,
            settings["noise"],
            clip=settings["clip_noise"],
            batch_size=BATCH_SIZE,
            seed=settings["seed"],
        )
    return train(model, images, loss=loss, batch_size=BATCH_SIZE, progress=False, **options)


def _train_with_clipping(model, images, clip_norm, *, steps, learning_rate, seed):
    """Train as `train` does, on the same batches, but limit the norm of all gradients together."""
    adam = keras.optimizers.Adam(learning_rate, epsilon=EPSILON, global_clipnorm=clip_norm)
    model.compile(adam, loss="mse")
    start, losses = time.perf_counter(), []
    for batch in shuffled(len(images), steps, BATCH_SIZE, seed):
        model.reset_metrics()  # else the loss would be the mean of all so far
        losses.append(float(model.train_on_batch(images[batch], images[batch])))
    seconds = time.perf_counter() - start
    return TrainingRun(list(range(steps)), losses, seconds, {"model": model.name, "steps": steps})


def _with_batch_normalization(model, where):
    """Return a net with the same initial weights and batch normalization in its decoder."""

    def call(layer, x, **options):
        hidden = layer.name == "transposed_convolution_1"
        if not isinstance(layer, keras.layers.Conv2DTranspose) or (
            where == "hidden" and not hidden
        ):
            return layer(x, **options)
        activation, layer.activation = layer.activation, keras.activations.linear
        x = keras.layers.BatchNormalization(name=f"{layer.name}_normalized")(layer(x, **options))
        return keras.layers.Activation(activation, name=f"{layer.name}_activation")(x)

    return keras.models.clone_model(model, call_function=call)


def _cross_entropy(model, images):
    entropy = loss_of(model, "bce")
    parts = [images[part] for part in in_parts(len(images))]
    total = sum(len(part) * float(entropy(part, model(part, training=False))) for part in parts)
    return total / len(images)


def _initializer(settings):
    if settings["initializer"] == "truncated_normal":
        return keras.initializers.TruncatedNormal(stddev=settings["stddev"])
    return settings["initializer"]


@functools.cache
def _digits():
    return load_mnist()


@functools.cache
def _floor(net):
    images = _digits().test.images
    return {"zero-fill": floors.zero_fill, "nearest": floors.nearest}.get(net, lambda _: 0.0)(
        images
    )


def _round(value):
    """Keep six digits: more would be noise and make the file large."""
    return float(f"{value:.6g}") if math.isfinite(value) else value
