import csv
import io
import json
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest
import reference
import tensorflow as tf
from nbclient import NotebookClient

import cae_lessons as cae
from cae_lessons import training
from cae_lessons.batches import shuffled
from cae_lessons.training import TrainingRun, article_run


@pytest.fixture(scope="module")
def images(digits):
    return digits.train.images[:1000]


@pytest.fixture
def few():
    return np.random.default_rng(0).random((2, 4, 4, 1)).astype(np.float32)


def tiny(activation="linear", name="last", seed=0):
    """Return a net of ten weights, for what doesn't depend on the net: it trains in no time."""
    image = keras.Input((4, 4, 1))
    initializer = keras.initializers.RandomNormal(stddev=0.5, seed=seed)
    layer = keras.layers.Conv2D(
        1, 3, padding="same", activation=activation, kernel_initializer=initializer, name=name
    )
    return keras.Model(image, layer(image), name="tiny")


def quick(model, images, **settings):
    return cae.train(model, images, **{"steps": 2, "batch_size": 2, "progress": False, **settings})


def test_loss_goes_down_and_the_same_seed_gives_the_same_run(images):
    models = [cae.strided_autoencoder() for _ in range(3)]
    same, again, other = (
        quick(model, images, steps=60, batch_size=60, seed=seed)
        for model, seed in zip(models, (1, 1, 2), strict=True)
    )
    assert same.loss == again.loss
    for one, two in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert same.loss != other.loss
    for run in (same, other):
        assert np.mean(run.loss[-5:]) < 0.5 * run.loss[0]
    # The net learned, not only its batches' losses fell.
    assert cae.mean_squared_error(models[0], images) < 0.5 * same.loss[0]


def test_run_holds_every_step_and_setting(few):
    run = cae.train(
        tiny("sigmoid"),
        few,
        steps=3,
        batch_size=4,
        learning_rate=0.002,
        loss="bce",
        seed=9,
        progress=False,
    )
    assert run.step == [0, 1, 2]
    assert len(run.loss) == 3
    assert all(type(loss) is float for loss in run.loss)
    assert run.seconds > 0
    assert run.settings == {
        "model": "tiny",
        "steps": 3,
        "batch_size": 4,
        "learning_rate": 0.002,
        "loss": "bce",
        "seed": 9,
        "warmup_steps": 0,
    }
    assert not run.interrupted


def test_protocol_is_the_articles(monkeypatch, few):
    monkeypatch.setattr(training, "STEPS", 1)
    run = cae.train(tiny(), few, progress=False)
    settings = {"steps": 1, "batch_size": 60, "learning_rate": 0.01, "loss": "mse", "seed": 0}
    assert run.settings == {"model": "tiny", "warmup_steps": 0, **settings}


@pytest.mark.parametrize("steps", [1, 24, 25, 27])
def test_losses_of_whole_and_part_calls(few, steps):
    assert len(quick(tiny(), few, steps=steps).loss) == steps


def test_length_of_a_call_changes_nothing(monkeypatch, few):
    expected = quick(tiny(), few, steps=7, batch_size=1).loss
    monkeypatch.setattr(training, "STEPS_PER_CALL", 3)
    assert quick(tiny(), few, steps=7, batch_size=1).loss == expected


@pytest.mark.parametrize(("count", "steps", "batch_size"), [(10, 7, 4), (3, 5, 8), (12, 6, 4)])
def test_every_image_is_used_equally_often(count, steps, batch_size):
    batches = shuffled(count, steps, batch_size, seed=0)
    assert batches.shape == (steps, batch_size)
    order = batches.ravel()  # a pass goes on in the next batch, or ends within one
    passes = [order[start : start + count] for start in range(0, len(order), count)]
    assert len(passes) > 1
    for one in passes[:-1]:
        assert sorted(one) == list(range(count))
    assert len(set(passes[-1])) == len(passes[-1])


def test_batches_are_shuffled_anew_for_each_pass_and_seed():
    first, second, third = shuffled(50, 3, 50, seed=0)
    assert len({tuple(order) for order in (range(50), first, second, third)}) == 4
    np.testing.assert_array_equal(shuffled(50, 3, 50, seed=0), [first, second, third])
    assert not np.array_equal(shuffled(50, 1, 50, seed=1)[0], first)


def test_first_loss_is_the_untrained_nets(images):
    model = cae.strided_autoencoder(hidden="sigmoid", output="linear", seed=3)
    pictures = [
        reference.strided_autoencoder(image, model.get_weights(), "sigmoid", "linear")
        for image in images[:20]
    ]
    run = quick(model, images[:20], steps=1, batch_size=20)
    assert run.loss[0] == pytest.approx(np.mean((pictures - images[:20]) ** 2), rel=1e-4)


def test_batch_holds_the_images_of_its_indices(images):
    expected = images[shuffled(len(images), 3, 5, seed=4)[0]]
    model = cae.strided_autoencoder(seed=1)
    error = cae.mean_squared_error(model, expected)
    assert quick(model, images, steps=3, batch_size=5, seed=4).loss[0] == pytest.approx(error)


@pytest.mark.parametrize("output", ["sigmoid", "logits"])
def test_cross_entropy_equals_its_formula(images, output):
    model = cae.strided_autoencoder(output=output, kernel_initializer="he_normal")
    x = images[:20].astype(float)
    logits = [
        reference.strided_autoencoder(image, model.get_weights(), output="logits") for image in x
    ]
    p = reference.sigmoid(np.array(logits))
    assert p.min() < 0.3 < 0.7 < p.max()
    expected = -np.mean(x * np.log(p) + (1 - x) * np.log(1 - p))
    run = quick(model, images[:20], steps=1, batch_size=20, loss="bce")
    assert run.loss[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("calls", [[3], [1, 2]], ids=["once", "twice"])
@pytest.mark.parametrize("learning_rate", [0.01, 0.001])
def test_training_is_kingma_and_bas_adam(few, calls, learning_rate):
    image = few[:1]
    model, twin = tiny(), tiny()
    weights = twin.get_weights()
    for steps in calls:  # each call starts with fresh moments
        quick(model, image, steps=steps, batch_size=1, learning_rate=learning_rate)
        adam = reference.Adam(learning_rate)
        for _ in range(steps):
            twin.set_weights(weights)
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(twin(image) - image))
            gradients = tape.gradient(loss, twin.trainable_variables)
            weights = adam.step(weights, [gradient.numpy() for gradient in gradients])
    untouched = tiny().get_weights()
    for result, expected, start in zip(model.get_weights(), weights, untouched, strict=True):
        assert np.abs(expected - start).max() > 0.5 * learning_rate
        np.testing.assert_allclose(result, expected, atol=0.001 * learning_rate)


def test_first_step_is_that_of_tensorflow_1(digits):
    # Keras' own epsilon, ten times larger, would leave half of the weights over 0.0001 apart.
    images = digits.train.images[:60]
    model, twin = cae.strided_autoencoder(), cae.strided_autoencoder()
    quick(model, images, steps=1, batch_size=60)
    variables = [variable.value for variable in twin.trainable_variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(twin(images) - images))
    gradients = tape.gradient(loss, variables)
    optimizer = tf.compat.v1.train.AdamOptimizer(0.01)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    apart = [
        np.abs(a - b).ravel() > 1e-4
        for a, b in zip(model.get_weights(), twin.get_weights(), strict=True)
    ]
    assert np.mean(np.concatenate(apart)) < 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        *(
            ({name: value}, f"{name}={re.escape(repr(value))}, expected a whole number")
            for name in ("steps", "batch_size")
            for value in (0, -1, 2.5, "3", True)
        ),
        ({"batch_size": None}, "batch_size=None"),
        *(
            ({"learning_rate": value}, f"learning_rate={value!r}")
            for value in (0, -0.1, float("nan"), float("inf"), "fast", None)
        ),
        *(({"loss": value}, "loss=.*'mse', 'bce'") for value in ("mae", None, ["mse"])),
        ({"loss": "bce"}, "needs probabilities.*relu.*'logits'"),
        ({"seed": -1}, "seed|non-negative"),
    ],
)
def test_impossible_settings_are_named(few, settings, message):
    model = tiny("relu")
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        quick(model, few, **settings)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_cross_entropy_of_a_linear_output(few):
    with pytest.raises(ValueError, match=r"needs probabilities.*linear"):
        quick(tiny("linear"), few, loss="bce")


@pytest.mark.parametrize("function", [quick, cae.reconstruct, cae.mean_squared_error])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 28, 28, 1), np.float32), "empty"),
        (np.zeros((2, 28, 28), np.float32), r"\(2, 28, 28\)"),
        (np.zeros((2, 32, 32, 1), np.float32), r"\(n, 28, 28, 1\), got \(2, 32, 32, 1\)"),
        (np.zeros((2, 28, 28, 1), np.uint8), "uint8"),
        (np.full((2, 28, 28, 1), 255.0), r"\[255, 255\], must lie in \[0, 1\]"),
        (np.full((2, 28, 28, 1), -0.5), r"\[-0.5, -0.5\], must lie in \[0, 1\]"),
        (np.full((2, 28, 28, 1), np.nan), "NaN"),
    ],
)
def test_impossible_images_are_named(function, images, message):
    with pytest.raises(ValueError, match=message):
        function(cae.strided_autoencoder(), images)


def test_float64_images_train_alike(few):
    single, double = (quick(tiny(), few.astype(dtype)).loss for dtype in ("float32", "float64"))
    assert single == double


@pytest.mark.parametrize("output", ["linear", "logits"])
def test_pictures_of_logits_are_their_sigmoid(digits, output):
    model = cae.strided_autoencoder(output=output, kernel_initializer="he_normal")
    images = digits.test.images[:501]  # more than one of predict's batches
    pictures = model(images).numpy().astype(float)
    if output == "logits":
        pictures = reference.sigmoid(pictures)
    result = cae.reconstruct(model, images)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, pictures, rtol=1e-4, atol=1e-5)
    error = np.mean((pictures - images) ** 2)
    assert cae.mean_squared_error(model, images) == pytest.approx(error, rel=1e-5)


def test_squared_error_of_logits_is_of_the_picture_in_training_too(images):
    model = cae.strided_autoencoder(output="logits")
    error = cae.mean_squared_error(model, images[:20])
    run = quick(model, images[:20], steps=1, batch_size=20, loss="mse")
    assert run.loss[0] == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize(("late", "steps"), [(False, 50), (True, 75)])
def test_ctrl_c_keeps_what_was_learned(monkeypatch, capsys, few, late, steps):
    expected = tiny()
    losses = quick(expected, few, steps=steps, batch_size=1).loss
    loop, calls = training.Loop.__call__, []

    def interrupted_loop(self, batches):
        calls.append(batches)
        if len(calls) == 3:
            if late:  # as a real Ctrl-C does: Python sees it when TensorFlow returns
                loop(self, batches)
            raise KeyboardInterrupt
        loop(self, batches)

    monkeypatch.setattr(training.Loop, "__call__", interrupted_loop)
    model = tiny()
    run = quick(model, few, steps=90, batch_size=1)
    assert run.interrupted
    assert run.settings["steps"] == 90
    assert run.step == list(range(steps))
    assert run.loss == losses
    for kept, weight in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, weight)
    out, err = capsys.readouterr()
    assert f"{steps} of 90" in out + err


def test_ctrl_c_before_the_first_call(monkeypatch, capsys, few):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.Loop, "__call__", interrupt)
    run = quick(tiny(), few)
    assert run.step == run.loss == []
    assert run.interrupted
    assert "0 of 2" in "".join(capsys.readouterr())


INTERRUPTED = """
import signal, sys, threading, time
import numpy as np
import cae_lessons as cae

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
model = cae.strided_autoencoder()
before = model.get_weights()[0]

def report():
    while np.array_equal(model.get_weights()[0], before):
        time.sleep(0.01)
    print("training", flush=True)

threading.Thread(target=report, daemon=True).start()
images = np.random.default_rng(0).random((10, 28, 28, 1))
run = cae.train(model, images, steps=50_000, batch_size=2)
twin = cae.strided_autoencoder()
cae.train(twin, images, steps=len(run.loss), batch_size=2)
same = all(map(np.array_equal, model.get_weights(), twin.get_weights()))
print("kept", len(run.loss), run.interrupted, same, flush=True)
"""


def test_ctrl_c_in_a_process():
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "training\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=reference.HANGING)
    assert process.returncode == 0, err
    match = re.search(r"([\d,]+) of 50,000 steps", out + err)
    steps = int(match[1].replace(",", ""))
    assert f"kept {steps} True True" in out


def test_saved_run_is_the_same_run(tmp_path, few):
    run = quick(tiny(), few)
    run.save(tmp_path / "run.json")
    assert TrainingRun.load(str(tmp_path / "run.json")) == run
    assert os.listdir(tmp_path) == ["run.json"]
    assert json.loads((tmp_path / "run.json").read_text())["loss"] == run.loss


def test_run_with_numpy_settings_is_saved(tmp_path, few):
    settings = {"steps": np.int64(2), "batch_size": np.int32(2), "seed": np.int64(1)}
    run = quick(tiny(), few, **settings)
    run.save(tmp_path / "run.json")
    assert TrainingRun.load(tmp_path / "run.json").settings["steps"] == 2


def test_saving_replaces_an_older_run(tmp_path):
    for loss in ([0.5, 0.4, 0.3], [0.25]):
        run = TrainingRun(list(range(len(loss))), loss, 1.0, {"steps": 3})
        run.save(tmp_path / "run.json")
    assert TrainingRun.load(tmp_path / "run.json").loss == [0.25]


def test_failing_save_leaves_the_older_run_and_no_litter(tmp_path):
    resource = pytest.importorskip("resource")
    older = TrainingRun([0], [0.5], 1.0, {"steps": 1})
    older.save(tmp_path / "run.json")
    newer = TrainingRun(list(range(10_000)), [0.1] * 10_000, 1.0, {"steps": 10_000})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:  # as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(OSError, match="large"):
            newer.save(tmp_path / "run.json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert TrainingRun.load(tmp_path / "run.json") == older
    assert os.listdir(tmp_path) == ["run.json"]


def test_saving_where_no_file_can_be(tmp_path):
    run = TrainingRun([0], [0.5], 1.0, {"steps": 1})
    with pytest.raises(FileNotFoundError, match=r"nowhere/run\.json'$"):
        run.save(tmp_path / "nowhere" / "run.json")
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match=r"directory'$"):
        run.save(tmp_path / "directory")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"{}",
        b'"run"',
        b'{"step": [0], "loss": [0.5]',
        b'{"step": [0], "loss": [0.5], "seconds": 1.0}',
        b'{"step": [0], "loss": [0.5], "seconds": 1.0, "settings": {"steps": 1}, "more": 1}',
        b'{"step": 0, "loss": 0.5, "seconds": 1.0, "settings": 3}',
        b'{"step": [0, 1], "loss": [0.5], "seconds": 1.0, "settings": {"steps": 1}}',
    ],
)
def test_loading_no_run_names_the_file(tmp_path, content):
    (tmp_path / "garbage.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"garbage\.json doesn't hold a training run"):
        TrainingRun.load(tmp_path / "garbage.json")


def test_loading_a_missing_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        TrainingRun.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize("name", ["strided", "zero-fill", "nearest", "nearest-reader"])
def test_article_run_is_the_table(name):
    with open(Path(training.__file__).with_name("article_losses.csv"), newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["run"] == name]
    run = article_run(name)
    logged = [(int(row["step"]), float(row["loss"])) for row in rows if row["step"] != "final"]
    assert list(zip(run.step, run.loss, strict=True)) == logged
    assert len(logged) > 10
    final = [float(row["loss"]) for row in rows if row["step"] == "final"]
    assert run.settings["final"] == (final[0] if final else None)
    assert not run.interrupted


def test_article_runs_that_the_book_quotes():
    assert article_run("strided").settings["final"] == 0.000948159
    assert article_run("zero-fill").settings["final"] == 0.0858374
    assert article_run("nearest").settings["final"] == 0.0172661
    assert article_run("nearest-reader").settings["final"] is None


def test_error_of_something_that_is_no_picture_is_refused(digits):
    model = cae.strided_autoencoder()
    encoder = keras.Model(model.input, model.get_layer("code").output)
    with pytest.raises(ValueError, match=r"\(7, 7, 32\), must make \(28, 28, 1\)"):
        cae.mean_squared_error(encoder, digits.test.images[:2])


def test_unknown_loss_names_the_known_ones():
    with pytest.raises(ValueError, match="loss='BCE', expected one of 'mse', 'bce'"):
        training.loss_of(cae.strided_autoencoder(), "BCE")


def test_unknown_article_run_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'argmax'.*nearest, nearest-reader, strided, zero-fill"):
        article_run("argmax")


def steps_with(monkeypatch, value):
    """Return the STEPS of a fresh import, with the environment variable set to `value`."""
    monkeypatch.delenv("CAE_LESSONS_STEPS", raising=False)
    if value is not None:
        monkeypatch.setenv("CAE_LESSONS_STEPS", value)
    return runpy.run_path(training.__file__)["STEPS"]


@pytest.mark.parametrize(("value", "steps"), [(None, 5000), ("7", 7)])
def test_steps_are_what_the_environment_says(monkeypatch, value, steps):
    assert steps_with(monkeypatch, value) == steps


@pytest.mark.parametrize("value", ["many", "2.5", "0", "-3", ""])
def test_impossible_steps_in_the_environment_are_named(monkeypatch, value):
    with pytest.raises(ValueError, match=f"CAE_LESSONS_STEPS.*{value!r}"):
        steps_with(monkeypatch, value)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bar_shows_in_a_terminal_only(monkeypatch, few):
    for stream, progress, shown in (
        (Terminal(), True, True),
        (Terminal(), False, False),
        (io.StringIO(), True, False),
        (io.StringIO(), False, False),
    ):
        monkeypatch.setattr(sys, "stderr", stream)
        quick(tiny(), few, progress=progress)
        assert bool(stream.getvalue()) == shown
        if shown:
            assert "0/2 [" in stream.getvalue()


def test_training_many_models_warns_of_nothing(monkeypatch, few):
    warnings = []
    monkeypatch.setattr(tf.get_logger(), "warning", lambda *arguments: warnings.append(arguments))
    for _ in range(10):
        quick(tiny(), few, steps=1)
    assert warnings == []


CELLS = [
    "import os\n"
    "os.environ.update(TQDM_MININTERVAL='0', TQDM_MINITERS='1')  # show every update\n"
    "import numpy as np, cae_lessons as cae\n"
    "images = np.random.default_rng(0).random((10, 28, 28, 1))\n"
    "model = cae.strided_autoencoder()",
    "run = cae.train(model, images, steps=60)",
    "run = cae.train(model, images, steps=60, progress=False)",
]


class Recorder(NotebookClient):
    """A client that remembers what was ever shown, not only what is left in the end."""

    def process_message(self, message, cell, cell_index):
        if message["msg_type"] in ("display_data", "update_display_data"):
            self.shown.append((cell_index, message["content"]["data"].get("text/plain", "")))
        return super().process_message(message, cell, cell_index)


def test_bar_in_a_notebook_takes_itself_back(monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)  # set where the book's notebooks are tests
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    client = Recorder(notebook, timeout=reference.HANGING, kernel_name="python3")
    client.shown = []
    client.execute()
    assert any("60/60" in text and "loss=" in text for index, text in client.shown if index == 1)
    assert not any(index == 2 for index, _ in client.shown)
    _, with_bar, without_bar = (cell.outputs for cell in notebook.cells)
    assert without_bar == []
    for output in with_bar:
        text = output.get("text", "") + "".join(output.get("data", {}).values())
        assert text.strip() == ""


def test_watching_changes_nothing_and_sees_each_step_before_it(few):
    seen, model = [], tiny()

    def look(step):
        seen.append((step, cae.mean_squared_error(model, few)))

    watched = quick(model, few, steps=4, before_step=look)
    unwatched = quick(tiny(), few, steps=4)
    assert watched.loss == unwatched.loss
    assert [step for step, _ in seen] == [0, 1, 2, 3]
    np.testing.assert_allclose([loss for _, loss in seen], watched.loss, rtol=1e-4)
