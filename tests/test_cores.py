"""Parts of a batch side by side give what the whole batch gives, and only where they may."""

import os
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from cae_lessons import cores, reconstruct, strided_autoencoder, train, unpooling_autoencoder
from cae_lessons.batches import run_in_batches
from cae_lessons.models import fold_unpooling
from cae_lessons.tracing import tracing
from cae_lessons.training import Loop
from tests.reference import HANGING


@pytest.fixture
def four_cores(monkeypatch):
    """Let the package think that it has four cores, and operations of one thread."""
    monkeypatch.setattr(cores, "_cores", lambda: 4)
    monkeypatch.setattr(cores, "_threads", lambda kind: 1 if kind == "intra" else 0)


def images(count, channels=1):
    return np.random.default_rng(count).random((count, 28, 28, channels), "float32")


def take_steps(batch_size, parts, steps=3):
    """Return the losses and the weights after some steps of the nearest net, in parts."""
    model, x = unpooling_autoencoder("nearest", seed=1), tf.constant(images(batch_size))
    optimizer = keras.optimizers.SGD(0.5)  # Adam would make steps of one length of any gradient
    optimizer.build(model.trainable_variables)
    loop = Loop(model, optimizer, lambda batch: (tf.gather(x, batch),) * 2, "mse", steps, parts)
    loop(np.tile(np.arange(batch_size), (steps, 1)))
    return loop.losses(), model.get_weights()


@pytest.mark.parametrize("parts", [2, 3, 4])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 60, 61])
def test_a_step_in_parts_is_the_step_of_the_whole_batch(batch_size, parts):
    losses, weights = take_steps(batch_size, parts)
    expected_losses, expected_weights = take_steps(batch_size, 1)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    for weight, expected in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-5)


def with_layer(layer):
    """Return a small autoencoder with one layer of any kind inside."""
    image = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(2, 3, padding="same")(image)
    return keras.Model(image, keras.layers.Conv2D(1, 3, padding="same")(layer(x)))


class Own(keras.layers.Layer):
    """A layer of somebody else's, whose output depends on the whole batch."""

    def call(self, x):
        return x - keras.ops.mean(x, axis=0, keepdims=True)


class OwnModel(keras.Model):
    """A model with code of its own."""

    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Conv2D(1, 3, padding="same")

    def call(self, x):
        return self.inner(x)


def centred(x):
    return x - keras.ops.mean(x, axis=0, keepdims=True)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.GaussianNoise(0.1),
        keras.layers.Lambda(centred),
        keras.layers.Conv2D(2, 3, padding="same", activation=centred),
        keras.layers.Activation(centred),
        keras.layers.Conv2D(2, 3, padding="same", activity_regularizer="l2"),
        centred,
        Own(),
        keras.Sequential([keras.layers.BatchNormalization()]),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_what_may_look_at_the_whole_batch_gets_it_whole(four_cores, layer):
    assert cores.parts_of_a_batch(with_layer(layer), 60) == 1


def test_a_model_with_code_of_its_own_gets_the_batch_whole(four_cores):
    assert cores.parts_of_a_batch(OwnModel(), 60) == 1


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.LayerNormalization(),
        keras.layers.Conv2D(2, 3, padding="same", activation="leaky_relu", kernel_regularizer="l2"),
        keras.Sequential([keras.layers.Dense(2, "relu"), keras.Sequential([keras.layers.ReLU()])]),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_treat_each_image_by_itself_get_parts(four_cores, layer):
    model = with_layer(layer)
    assert cores.parts_of_a_batch(model, 60) == 4
    assert cores.parts_of_a_batch(model, 35) == 2
    assert cores.parts_of_a_batch(model, 8) == cores.parts_of_a_batch(model, None) == 1


def test_the_book_s_nets_get_parts(four_cores):
    nets = [strided_autoencoder(), unpooling_autoencoder("argmax", decoder_order="unpool-deconv")]
    nets += [fold_unpooling(unpooling_autoencoder("nearest", decoder_order="unpool-deconv"))]
    assert [cores.parts_of_a_batch(net, 60) for net in nets] == [4, 4, 4]


def test_penalties_count_once_in_any_number_of_parts(four_cores):
    x, weights = images(60), []
    for batch_in_parts in (True, False):
        keras.utils.set_random_seed(0)
        model = with_layer(keras.layers.Conv2D(2, 3, padding="same", kernel_regularizer="l2"))
        with pytest.MonkeyPatch.context() as patch:
            if not batch_in_parts:
                patch.setattr(cores, "_workers", lambda: 1)
            train(model, x, steps=3, progress=False)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_data_set_with_a_small_last_batch(four_cores):
    data_set = tf.data.Dataset.from_tensor_slices(images(61)).batch(60)
    run = train(strided_autoencoder(), data_set, steps=4, progress=False)
    assert np.isfinite(run.loss).all()


@pytest.mark.parametrize(
    ("intra", "inter", "expected"), [(0, 0, 1), (1, 0, 4), (1, 1, 1), (2, 0, 1)]
)
def test_only_operations_of_one_thread_go_side_by_side(monkeypatch, intra, inter, expected):
    monkeypatch.setattr(cores, "_cores", lambda: 4)
    monkeypatch.setattr(cores, "_threads", {"intra": intra, "inter": inter}.get)
    assert cores._workers() == expected


SCRIPT = """
import os, sys
if "started" in sys.argv:
    import tensorflow as tf
    tf.constant(1.0) + 1
elif "chosen" in sys.argv:
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(2)
import cae_lessons.cores
os.sched_getaffinity = lambda process: {0, 1}
cae_lessons.cores.prefer_one_thread_per_operation()
import tensorflow as tf
print(tf.config.threading.get_intra_op_parallelism_threads(), cae_lessons.cores._workers())
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the script feigns two cores")
@pytest.mark.parametrize(
    ("situation", "environment", "expected"),
    [
        ("fresh", {}, "1 2"),
        ("fresh", {"TF_NUM_INTRAOP_THREADS": "2"}, "0 1"),
        ("chosen", {}, "2 1"),
        ("started", {}, "0 1"),
    ],
)
def test_a_choice_of_threads_that_was_made_already_stands(situation, environment, expected):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_NUM")}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, situation],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=HANGING,
        check=True,
    )
    assert result.stdout.strip() == expected


def test_side_by_side_keeps_the_order_and_computes_at_the_same_time(four_cores):
    both = threading.Barrier(2, timeout=HANGING)

    def wait(item):
        if item:
            both.wait()  # passes only if two calls are under way
        return item

    assert list(cores.side_by_side(wait, [0, 1, 2])) == [0, 1, 2]


def test_the_first_call_of_side_by_side_is_alone(four_cores):
    running = []

    def note(item):
        running.append(item)
        time.sleep(0.01)
        alone = len(running) == 1
        running.remove(item)
        return alone

    assert next(cores.side_by_side(note, range(8)))


def test_an_error_in_any_part_comes_out(four_cores):
    with pytest.raises(ZeroDivisionError):
        list(cores.side_by_side(lambda item: 1 / item, [2, 1, 0, 3]))


def test_pictures_are_the_same_bit_by_bit(four_cores):
    model, x = strided_autoencoder(), images(1_700)
    expected = [model(x[start : start + 500], training=False) for start in range(0, 1_700, 500)]
    np.testing.assert_array_equal(reconstruct(model, x), np.concatenate(expected))
    np.testing.assert_array_equal(run_in_batches(model, x), np.concatenate(expected))


def test_several_batches_are_traced_at_once(four_cores):
    model = strided_autoencoder()
    batches = [images(count) for count in (3, 4, 5, 6, 7)]
    with tracing(model) as run:
        traces = list(cores.side_by_side(run, batches))
    for batch, found in zip(batches, traces, strict=True):
        assert [len(call.output) for call in found.calls] == [len(batch)] * 4
        np.testing.assert_array_equal(found.output, model(batch))
