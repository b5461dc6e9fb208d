"""Models that other people build: nested, subclassed, of dense layers, with penalties, noisy."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import cae_lessons as cae
from cae_lessons import tracing
from cae_lessons.batches import _as_pairs
from cae_lessons.training import TrainingRun


@pytest.fixture(scope="module")
def images(digits):
    return digits.train.images[:300]


def quick(model, images, targets=None, **settings):
    return cae.train(
        model, images, targets, **{"steps": 5, "batch_size": 20, "progress": False, **settings}
    )


RELUS = {
    "name": lambda: {"activation": "relu"},
    "keras function": lambda: {"activation": keras.activations.relu},
    "TensorFlow function": lambda: {"activation": tf.nn.relu},
    "keras op": lambda: {"activation": keras.ops.relu},
    "a layer as activation": lambda: {"activation": layers.ReLU()},
    "relu6": lambda: {"activation": tf.nn.relu6},
    "own function": lambda: {"activation": lambda x: keras.ops.maximum(x, 0)},
}
RELU_LAYERS = {
    "ReLU": layers.ReLU,
    "Activation": lambda: layers.Activation("relu"),
    "Lambda": lambda: layers.Lambda(lambda x: tf.maximum(x, 0.0)),
    "op between layers": lambda: keras.ops.relu,
}


def encoder(code, after=None):
    """Return an encoder with 4 of 6 maps of its code pushed below 0 for good."""
    image = keras.Input((28, 28, 1))
    x = layers.Conv2D(4, 3, 2, padding="same", activation="relu", name="outer")(image)
    x = layers.Conv2D(6, 3, 2, padding="same", name="bottleneck", **code)(x)
    x = after(x) if after else x
    model = keras.Model(image, x, name="encoder")
    model.get_layer("bottleneck").bias.assign([-100, 1, -100, -100, 1, -100])
    return model


def decoder(activation="sigmoid"):
    return keras.Sequential(
        [
            keras.Input((7, 7, 6)),
            layers.Conv2DTranspose(4, 3, 2, padding="same", activation="relu"),
            layers.Conv2DTranspose(1, 3, 2, padding="same", activation=activation),
        ],
        name="decoder",
    )


def nested(inner, outer):
    image = keras.Input((28, 28, 1))
    return keras.Model(image, outer(inner(image)))


class Subclassed(keras.Model):
    """An autoencoder whose relus stand in its code, between its layers."""

    def __init__(self, bias=(-100.0, 1, -100, -100, 1, -100)):
        super().__init__()
        self.outer = layers.Conv2D(4, 3, 2, padding="same")
        self.inner = layers.Conv2D(
            6, 3, 2, padding="same", bias_initializer=lambda shape, dtype: tf.constant(bias)
        )
        self.decoder = decoder("sigmoid")

    def call(self, x):
        x = tf.nn.relu(self.outer(x))
        return self.decoder(tf.nn.relu(self.inner(x)))


class Compiled(Subclassed):
    """The same, compiled by its author."""

    def __init__(self):
        super().__init__()
        self.outer.build((None, 28, 28, 1))
        self.inner.build((None, 14, 14, 4))

    @tf.function
    def call(self, x):
        return super().call(x)


# Dead maps, wherever they are


@pytest.mark.parametrize("spelling", RELUS)
def test_dead_maps_of_every_spelling_of_relu_inside_a_nested_model(images, spelling):
    found = cae.diagnose(nested(encoder(RELUS[spelling]()), decoder()), images)
    path = "encoder/bottleneck"
    path += "/re_lu" if spelling == "a layer as activation" else ""
    dead = next(dead for name, dead in found.dead_maps.items() if name.startswith(path))
    assert dead.tolist() == [True, False, True, True, False, True]
    assert f"{path}" in str(found)
    assert "4 of 6 maps dead" in str(found)


@pytest.mark.parametrize("spelling", RELU_LAYERS)
def test_dead_maps_of_relus_that_stand_for_themselves(images, spelling):
    found = cae.diagnose(nested(encoder({}, RELU_LAYERS[spelling]()), decoder()), images)
    counts = {name: dead.sum() for name, dead in found.dead_maps.items()}
    assert 4 in [count for name, count in counts.items() if name.startswith("encoder/")]
    assert "encoder/bottleneck" not in counts  # it is linear


def test_dead_maps_three_models_deep(images):
    inner = nested(encoder({"activation": "relu"}), decoder())
    image = keras.Input((28, 28, 1))
    deep = keras.Sequential([keras.Input((28, 28, 1)), inner], name="middle")
    model = keras.Model(image, deep(image))
    paths = list(cae.diagnose(model, images).dead_maps)
    assert f"middle/{inner.name}/encoder/bottleneck" in paths


@pytest.mark.parametrize("build", [Subclassed, Compiled])
def test_relus_in_the_code_of_a_subclassed_model_are_seen(images, build):
    model = build()
    found = cae.diagnose(model, images)
    path = f"input of decoder/{model.decoder.layers[0].name}"
    assert found.dead_maps[path].tolist() == [True, False, True, True, False, True]
    assert found.output_activation == "sigmoid"


def test_a_layer_that_cannot_be_judged_is_named(images):
    class Swish(layers.Layer):
        def build(self, shape):
            self.slope = self.add_weight(shape=(), initializer="ones")

        def call(self, x):
            return x * tf.sigmoid(self.slope * x)

    model = keras.Sequential([keras.Input((28, 28, 1)), Swish(name="mine"), layers.Conv2D(1, 1)])
    assert "can't be judged, as the activation isn't known: mine" in str(
        cae.diagnose(model, images)
    )


def test_dead_maps_of_somebodys_own_layer_are_seen(images):
    class Convolution(layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(3, 3, 1, 4))

        def call(self, x):
            shift = tf.constant([0.1, 0.1, 0.1, -100])
            return tf.nn.relu(tf.nn.conv2d(x, self.kernel, 1, "SAME") + shift)

    body = [Convolution(name="mine"), layers.Conv2D(1, 1)]
    found = cae.diagnose(keras.Sequential([keras.Input((28, 28, 1)), *body]), images)
    assert found.dead_maps["mine"].tolist() == [False, False, False, True]
    assert found.remarks == ()


def test_watching_leaves_every_model_as_it_was(images):
    model = nested(encoder({"activation": "relu"}), decoder())
    found = [layer for layer, _ in tracing.named_layers(model).values()]
    with pytest.raises(ZeroDivisionError), tracing.watching(model, lambda *_: 1 / 0):
        model(images[:1])
    assert not [layer for layer in found if "call" in vars(layer)]
    assert not tf.config.functions_run_eagerly()


@pytest.mark.parametrize("size", [1, 2])
def test_a_layer_used_twice_is_judged_over_both_uses_of_one_shape(images, size):
    shared = layers.Conv2D(1, 3, padding="same", activation="relu", name="shared")
    between = layers.AveragePooling2D(size)
    body = [shared, layers.Conv2D(1, 1), between, shared, layers.UpSampling2D(size)]
    found = cae.diagnose(keras.Sequential([keras.Input((28, 28, 1)), *body]), images)
    assert set(found.dead_maps) == {"shared"} | ({"shared#2"} if size > 1 else set())


def test_a_layer_of_a_sequence_is_one_layer(images):
    dense = layers.TimeDistributed(layers.Dense(28, activation="sigmoid"), name="rows")
    body = [layers.Reshape((28, 28)), layers.LSTM(28, return_sequences=True), dense]
    model = keras.Sequential([keras.Input((28, 28, 1)), *body, layers.Reshape((28, 28, 1))])
    found = cae.diagnose(model, images)
    assert "cell" not in str(found)
    assert "#" not in str(found)


# Models without known shapes


def unbuilt():
    return keras.Sequential(
        [
            layers.Conv2D(4, 3, 2, padding="same", activation="relu", name="code"),
            layers.Conv2DTranspose(1, 3, 2, padding="same", activation="sigmoid"),
        ]
    )


def any_size():
    return keras.Sequential([keras.Input((None, None, 1)), *unbuilt().layers])


@pytest.mark.parametrize("build", [unbuilt, any_size, Subclassed, Compiled])
@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_models_without_known_shapes_are_trained_and_diagnosed(images, build, loss):
    model = build()
    before = cae.mean_squared_error(model, images)
    run = quick(model, images, steps=40, loss=loss, learning_rate=0.003)
    assert np.mean(run.loss[-5:]) < run.loss[0]
    found = cae.diagnose(model, images, run=run)
    assert found.loss == pytest.approx(cae.mean_squared_error(model, images), rel=1e-5)
    assert found.loss < before
    assert found.dead_phases.shape in ((2, 2), (4, 4))
    assert cae.reconstruct(model, images[:3]).shape == (3, 28, 28, 1)


def test_a_model_of_any_size_takes_images_of_another_size():
    images = np.random.default_rng(0).random((20, 12, 16, 1)).astype("float32")
    assert len(quick(any_size(), images).loss) == 5
    with pytest.raises(
        ValueError, match=r"must have shape \(n, 28, 28, 1\), got \(20, 12, 16, 1\)"
    ):
        quick(cae.strided_autoencoder(), images)


def test_a_model_of_vectors_is_named_with_its_mend(images):
    model = keras.Sequential([keras.Input((784,)), layers.Dense(784, activation="sigmoid")])
    with pytest.raises(
        ValueError, match=r"takes arrays of shape \(n, 784\).*keras.layers.Flatten\(\), model"
    ):
        quick(model, images)
    wrapped = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), model, layers.Reshape((28, 28, 1))]
    )
    quick(wrapped, images, loss="bce")
    assert cae.diagnose(wrapped, images).output_activation == "sigmoid"


def test_models_of_other_kinds_are_refused_in_words(images):
    image = keras.Input((28, 28, 1))
    two_outputs = keras.Model(image, [layers.Conv2D(1, 1)(image), layers.Conv2D(1, 1)(image)])
    with pytest.raises(ValueError, match="returns list, must return one tensor of pictures"):
        quick(two_outputs, images)
    other = keras.Input((28, 28, 1))
    two_inputs = keras.Model([image, other], layers.Add()([image, other]))
    with pytest.raises(ValueError, match="has 2 inputs, an autoencoder must have one"):
        quick(two_inputs, images)


# Cross-entropy where nobody can tell what the output is


def test_cross_entropy_asks_what_makes_the_output(images):
    quick(nested(encoder({}), decoder()), images, loss="bce")
    for output in ("linear", "relu"):
        with pytest.raises(ValueError, match=f"needs probabilities.* {output}: end the model"):
            quick(nested(encoder({}), decoder(output)), images, loss="bce")
    between = keras.Sequential([*decoder("linear").layers, layers.Activation(tf.sigmoid)])
    quick(nested(encoder({}), between), images, loss="bce")


def test_where_nobody_can_tell_the_first_batch_is_checked(images):
    class Unknown(Subclassed):
        def __init__(self, scale):
            super().__init__()
            self.scale = scale

        def call(self, x):
            return self.scale * super().call(x)

    quick(Unknown(0.9), images, loss="bce")
    with pytest.raises(ValueError, match=r"needs probabilities, but the first pictures lie in \["):
        quick(Unknown(9.0), images, loss="bce")


# What is trained


def penalised(strength):
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(
                4, 3, padding="same", activation="relu", name="code",
                kernel_initializer=keras.initializers.HeNormal(1),
                activity_regularizer=keras.regularizers.L1(strength),
                kernel_regularizer=keras.regularizers.L2(strength),
            ),
            layers.Conv2D(1, 3, padding="same", kernel_initializer=keras.initializers.HeNormal(2)),
        ]
    )  # fmt: skip


def test_penalties_count_as_in_fit_and_are_not_recorded(images):
    few = images[:20]
    ours, fitted = penalised(1.0), penalised(1.0)
    plain = cae.mean_squared_error(ours, few)
    run = quick(ours, few, steps=4)
    assert run.loss[0] == pytest.approx(plain, rel=1e-5)
    fitted.compile(keras.optimizers.Adam(0.01, epsilon=1e-8), "mse")
    fitted.fit(few, few, batch_size=20, epochs=4, verbose=0)
    for one, two in zip(ours.get_weights(), fitted.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)
    without = penalised(0.0)
    quick(without, few, steps=4)
    assert not np.allclose(ours.get_weights()[0], without.get_weights()[0], atol=1e-3)


@pytest.mark.parametrize("method", ["train_step", "compute_loss"])
def test_what_train_would_leave_out_is_refused(images, method):
    own = type("Own", (keras.Sequential,), {method: lambda self, *a, **k: 1 / 0})
    with pytest.raises(ValueError, match=f"has a {method} of its own.*model.fit"):
        quick(own(unbuilt().layers), images)


def test_a_frozen_model_is_refused(images):
    model = cae.strided_autoencoder()
    model.trainable = False
    with pytest.raises(ValueError, match="no weights to train"):
        quick(model, images)


def test_noisy_images_are_trained_towards_clean_targets(images):
    generator = np.random.default_rng(0)
    noisy = np.clip(images + generator.normal(0, 0.4, images.shape), 0, 1).astype("float32")
    model = cae.strided_autoencoder(output="linear")
    run = quick(model, noisy, images, steps=80, batch_size=60, learning_rate=0.003)
    assert np.mean(run.loss[-5:]) < np.mean((noisy - images) ** 2)
    pictures = cae.reconstruct(model, noisy)
    error = cae.mean_squared_error(model, noisy, images)
    assert error == pytest.approx(np.mean((pictures - images) ** 2), rel=1e-5)
    assert cae.diagnose(model, noisy, images).loss == pytest.approx(error, rel=1e-5)
    with pytest.raises(ValueError, match="299 targets for 300 images: each needs one"):
        quick(model, noisy, images[1:])
    with pytest.raises(ValueError, match=r"targets lie in \[0, 255\]"):
        quick(model, noisy, images * 255)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("pairs", [True, False])
def test_data_sets_of_images_or_pairs(images, batched, pairs):
    content = (images[:100], images[100:200]) if pairs else images[:100]
    data_set = tf.data.Dataset.from_tensor_slices(content)
    data_set = data_set.batch(20) if batched else data_set
    targets = images[100:200] if pairs else images[:100]
    model = cae.strided_autoencoder()
    expected = np.mean((cae.reconstruct(model, images[:20]) - targets[:20]) ** 2)
    error = cae.mean_squared_error(model, images[:100], targets)
    assert cae.mean_squared_error(model, data_set) == pytest.approx(error, rel=1e-5)
    assert cae.diagnose(model, data_set).loss == pytest.approx(error, rel=1e-5)
    run = quick(model, data_set, steps=12)  # more than two passes
    assert run.loss[0] == pytest.approx(expected, rel=1e-5)
    assert len(run.loss) == 12


def test_no_thread_tunes_a_data_set(images):
    data_set = tf.data.Dataset.from_tensor_slices(images[:10]).map(lambda image: image)
    for each in (data_set, data_set.batch(5)):
        assert _as_pairs(each, 5).options().autotune.enabled is False


def test_data_sets_of_something_else_are_named(images):
    few = images[:10]
    labelled = tf.data.Dataset.from_tensor_slices((few, np.arange(10))).batch(5)
    with pytest.raises(ValueError, match=r"with labels of shape .*lambda image, label: image"):
        quick(cae.strided_autoencoder(), labelled)
    data_set = tf.data.Dataset.from_tensor_slices(few).batch(5)
    with pytest.raises(ValueError, match="data set yields its own targets"):
        quick(cae.strided_autoencoder(), data_set, few)
    with pytest.raises(ValueError, match=r"has no end: take some of it"):
        cae.reconstruct(cae.strided_autoencoder(), data_set.repeat())
    with pytest.raises(ValueError, match="data set is empty"):
        quick(cae.strided_autoencoder(), data_set.take(0))
    with pytest.raises(ValueError, match=r"divide them by 255"):
        quick(cae.strided_autoencoder(), data_set.map(lambda x: x * 255))


def test_warmup_lets_the_learning_rate_rise_in_equal_steps(images):
    few = images[:20]
    slow, fast = cae.strided_autoencoder(), cae.strided_autoencoder()
    before = fast.get_weights()
    quick(slow, few, steps=1, warmup_steps=10, learning_rate=0.01)
    quick(fast, few, steps=1, learning_rate=0.001)
    for one, two, start in zip(slow.get_weights(), fast.get_weights(), before, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
        assert not np.array_equal(one, start)
    with pytest.raises(ValueError, match="warmup_steps=-1, expected a whole number of 0 or more"):
        quick(slow, few, warmup_steps=-1)


# Going on


def dropping():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(2, 3, padding="same", kernel_initializer=keras.initializers.HeNormal(1)),
            layers.BatchNormalization(),
            layers.Dropout(0.3, seed=1),
            layers.Conv2D(1, 3, padding="same", kernel_initializer=keras.initializers.HeNormal(2)),
        ]
    )


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("data_set", [False, True])
def test_a_run_goes_on_as_if_nothing_had_happened(images, tmp_path, saved, data_set):
    given = tf.data.Dataset.from_tensor_slices(images).batch(40) if data_set else images
    settings = {"batch_size": 40, "learning_rate": 0.004, "seed": 3, "warmup_steps": 4}
    whole, parts = dropping(), dropping()
    expected = quick(whole, given, steps=30, **settings)
    run = quick(parts, given, steps=11, **settings)
    if saved:
        run.save(tmp_path / "run.json")
        run = TrainingRun.load(tmp_path / "run.json")
    run = cae.train(parts, given, steps=30, resume=run, progress=False)
    assert run.loss == expected.loss
    assert run.step == expected.step
    assert run.settings == {**expected.settings, "model": parts.name}
    for one, two in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_an_interrupted_run_goes_on_to_its_last_step(images, monkeypatch, capsys):
    monkeypatch.setattr("cae_lessons.training.STEPS_PER_CALL", 3)
    loop, calls = cae.training.Loop.__call__, []

    def interrupted(self, batches):
        calls.append(batches)
        if len(calls) == 3:
            raise KeyboardInterrupt
        loop(self, batches)

    model = cae.strided_autoencoder()
    with monkeypatch.context() as patch:
        patch.setattr(cae.training.Loop, "__call__", interrupted)
        run = quick(model, images, steps=20)
    assert len(run.loss) == 6
    assert "`resume`" in "".join(capsys.readouterr())
    run = cae.train(model, images, resume=run, progress=False)
    assert not run.interrupted
    assert run.loss == quick(cae.strided_autoencoder(), images, steps=20).loss


def test_what_cannot_go_on_is_named(images):
    model = cae.strided_autoencoder()
    run = quick(model, images)
    with pytest.raises(ValueError, match="steps=5, but the run to resume has taken 5 already"):
        cae.train(model, images, resume=run)
    with pytest.raises(ValueError, match=r"learning_rate=0.5, but the run to resume has 0.01"):
        cae.train(model, images, steps=9, learning_rate=0.5, resume=run)
    with pytest.raises(ValueError, match="must be a TrainingRun that `train` returned"):
        cae.train(model, images, steps=9, resume=cae.training.article_run("strided"))
    quick(model, images)
    with pytest.raises(ValueError, match="isn't as the run to resume left it"):
        cae.train(model, images, steps=9, resume=run)


def test_a_run_is_shown_as_a_summary(images):
    text = repr(quick(cae.strided_autoencoder(), images))
    assert text.startswith("<TrainingRun of strided_autoencoder: 5 steps in ")
    assert len(text) < 120


# What is found


def grey(level):
    """Return a net that draws one grey for every image, by dense layers."""
    bias = keras.initializers.Constant(level)
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(784, kernel_initializer="zeros", bias_initializer=bias),
            layers.Reshape((28, 28, 1)),
        ]
    )


def test_one_flat_grey_is_called_constant_and_no_phases_are_counted(images):
    found = cae.diagnose(grey(0.31), images)
    assert (found.verdict, found.picture, found.dead_phases) == ("collapsed", "constant", None)
    assert "phases" not in str(found)


def test_the_mean_image_for_all_is_recognised(images):
    model = grey(0.0)
    model.layers[1].bias.assign(images.mean(axis=0).ravel())
    assert cae.diagnose(model, images).picture == "mean image"


def shrinking(share):
    """Return a net whose pictures are a share of the images."""
    kernel = keras.initializers.Constant(share)
    return keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Conv2D(1, 1, kernel_initializer=kernel)]
    )


def test_a_net_worse_than_the_mean_image_is_untrained(images):
    bar = np.sqrt(cae.floors.mean_image(images) / cae.floors.all_black(images))
    assert cae.diagnose(shrinking(1 - bar * 1.01), images).verdict == "untrained"
    assert cae.diagnose(shrinking(1 - bar * 0.99), images).verdict == "trained"


@pytest.mark.parametrize(
    ("last", "floor"),
    [
        (layers.UpSampling2D(), cae.floors.nearest),
        (cae.layers.ZeroFillUnpooling2D(), cae.floors.zero_fill),
    ],
)
def test_what_the_last_layer_allows_is_shown_and_sets_the_bar(images, last, floor):
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.AveragePooling2D(2), last])
    found = cae.diagnose(model, images)
    assert found.floor == pytest.approx(floor(images))
    assert f"its last layer allows {found.floor:.6f} at best" in str(found)
    mean = images.mean(axis=0)
    drawn = mean * cae.layers.corner_mask(28, 2) if floor is cae.floors.zero_fill else (
        np.kron(mean.reshape(14, 2, 14, 2).mean((1, 3)), np.ones((2, 2)))[..., None]
    )  # fmt: skip
    bar = np.mean((drawn - images) ** 2)
    assert found.verdict == ("trained" if found.loss < bar else "untrained")


def test_a_healthy_loss_fits_nothing(digits):
    found = cae.diagnose(0.0307, digits.test.images)
    assert found.verdict == "none of these"
    assert "fits none of the pictures below" in str(found)


@pytest.mark.parametrize(
    ("scale", "of", "loss", "text"),
    [
        (784, lambda x: np.mean(x**2), "mse", "mean squared error summed over the 784 pixels"),
        (392, lambda x: np.mean(x**2), "mse", "summed over the 784 pixels and halved"),
        (1000, lambda x: np.mean((x - 0.5) ** 2), "mse", "mean squared error times 1,000"),
        (255**2, lambda x: np.var(x), "mse", "of pixels from 0 to 255"),
        (784, lambda x: np.log(2), "mse", "binary cross-entropy summed over the 784 pixels"),
        (1, lambda x: np.log(2), "mse", "binary cross-entropy"),
        (784, lambda x: np.log(2), "bce", "binary cross-entropy summed over the 784 pixels"),
    ],
)
def test_the_usual_scales_are_tried_and_named(digits, scale, of, loss, text):
    x = digits.test.images
    found = cae.diagnose(scale * of(x.astype(float)), x, loss=loss)
    assert found.verdict in ("all black", "all ½", "constant")
    assert found.scale.startswith(text) or text in found.scale
    assert text in str(found)


def test_a_root_mean_squared_error_is_recognised(digits):
    x = digits.test.images
    assert "square root" in cae.diagnose(np.sqrt(cae.floors.all_black(x)), x).scale


def test_impossible_losses_say_what_they_mean(images):
    assert cae.diagnose(-0.3, images).verdict == "images outside [0, 1]"
    run = TrainingRun([0, 1, 2, 3], [0.2, 0.3, np.nan, np.nan], 1.0, {})
    assert str(cae.diagnose(float("nan"), images, run=run)) == "nan: diverged since step 2"
    model = cae.strided_autoencoder()
    model.set_weights([np.full_like(weight, np.inf) for weight in model.get_weights()])
    assert str(cae.diagnose(model, images, run=run)).startswith("diverged since step 2")


def test_training_loss_and_the_models_own_are_told_apart(images):
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=0.9999),
            layers.Conv2D(1, 3, padding="same"),
        ]
    )
    run = quick(model, images, steps=60)
    text = str(cae.diagnose(model, images, run=run))
    assert "the last training losses are" in text
    assert "batch normalisation uses each batch's own mean" in text
    assert cae.diagnose(cae.strided_autoencoder(), images).remarks == ()


def test_slow_progress_is_no_standstill():
    generator = np.random.default_rng(0)
    falling = 0.157 + 0.03 * np.exp(-np.arange(5000) / 3000) + generator.normal(0, 0.005, 5000)
    falling[:40] += 0.01
    flat = 0.114 + generator.normal(0, 0.005, 5000)
    step = list(range(5000))
    assert cae.diagnosis.stuck_since(TrainingRun(step, list(falling), 1.0, {})) is None
    assert cae.diagnosis.stuck_since(TrainingRun(step, list(flat), 1.0, {})) < 300


def test_memory_does_not_grow_with_the_images():
    code = (
        "import resource, numpy as np, cae_lessons as cae\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "images = np.random.default_rng(0).random((20_000, 28, 28, 1), 'float32')\n"
        "model = cae.unpooling_autoencoder('nearest')\n"
        "cae.diagnose(model, images[:1000])\n"
        "cae.diagnose(0.1, images[:1000])\n"
        "before = peak()\n"
        "cae.diagnose(model, images[:10_000])\n"
        "cae.diagnose(0.1, images)\n"
        "print((peak() - before) / 1024)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert float(result.stdout.split()[-1]) < 100  # MiB


# Receptive fields


@pytest.mark.parametrize(
    "normalisation",
    [layers.BatchNormalization, layers.LayerNormalization, lambda: layers.PReLU(), layers.ReLU],
)
@pytest.mark.parametrize("wrap", [False, True])
def test_normalisation_leaves_the_receptive_field(normalisation, wrap):
    body = [
        keras.Input((20, 20, 2)),
        layers.Conv2D(3, 3, padding="same"),
        normalisation(),
        layers.Activation("relu"),
        layers.Conv2D(3, 3, 2, padding="same", name="code"),
    ]
    model = keras.Sequential(body, name="encoder")
    if wrap:
        model = keras.Sequential([keras.Input((20, 20, 2)), model, layers.Conv2D(1, 1)])
    before = model.get_weights()
    field = cae.diagnosis.receptive_field(model, "code", (5, 5))
    rows, columns = np.nonzero(field)
    assert field.sum() == 25
    assert np.ptp(rows) == np.ptp(columns) == 4
    assert all(map(np.array_equal, before, model.get_weights()))


def test_normalisation_over_a_map_lets_all_pixels_count():
    body = [layers.Conv2D(4, 3, padding="same"), layers.GroupNormalization(2, name="normalised")]
    model = keras.Sequential([keras.Input((10, 10, 1)), *body])
    assert cae.diagnosis.receptive_field(model, "normalised", (5, 5)).all()


def test_receptive_field_of_dense_and_size_free_layers():
    dense = keras.Sequential(
        [keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(3, name="code")]
    )
    assert cae.diagnosis.receptive_field(dense, "code", 1).all()
    free = any_size()
    with pytest.raises(ValueError, match="takes images of any size: image_shape must say which"):
        cae.diagnosis.receptive_field(free, "code", (2, 2))
    assert cae.diagnosis.receptive_field(free, "code", (2, 2), (9, 9, 1)).sum() == 9


def test_layers_are_found_by_path_and_by_name(images):
    model = nested(encoder({"activation": "relu"}), decoder())
    by_path = cae.diagnosis.activations(model, images[:5], "encoder/bottleneck")
    np.testing.assert_array_equal(
        by_path, cae.diagnosis.activations(model, images[:5], "bottleneck")
    )
    assert by_path.shape == (5, 7, 7, 6)
    z = cae.diagnosis.pre_activations(model, images[:5], "encoder/bottleneck")
    np.testing.assert_allclose(np.maximum(z, 0), by_path, rtol=1e-6)
    with pytest.raises(ValueError, match="has no layer 'code'; its layers are: encoder, encoder/"):
        cae.diagnosis.activations(model, images, "code")


# The command


def test_command_answers_a_number():
    command = [sys.executable, "-m", "cae_lessons.diagnose", "0.1139"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("0.113900 fits: all black")


@pytest.fixture
def command(monkeypatch):
    """Run the command in this process, which has TensorFlow already; return how it ends."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["diagnose", *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(Path(cae.__file__).with_name("diagnose.py")), run_name="__main__")
        return ended.value.code

    return run


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["0.6931", "--loss", "bce"], "0.693100 fits: all ½"),
        (["nan"], "nan: diverged"),
    ],
)
def test_command_has_a_loss_and_bears_any_number(command, capsys, arguments, expected):
    assert command(*arguments) == 0
    assert capsys.readouterr().out.startswith(expected)


def test_command_names_a_missing_directory(command, tmp_path):
    message = command("0.1", "--data", str(tmp_path / "no"))
    assert message.startswith("diagnose: ")
    assert str(tmp_path / "no") in message


def test_the_name_means_the_function_whatever_was_imported():
    import cae_lessons.diagnose

    assert cae_lessons.diagnose is cae.diagnose
    assert callable(cae.diagnose)


# Another backend


def test_what_needs_tensorflow_says_so(monkeypatch, images):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match=r"cae.train needs .* TensorFlow .* runs on jax"):
        quick(cae.strided_autoencoder(), images)
    with pytest.raises(RuntimeError, match=r"cae.diagnosis.watch needs Keras' TensorFlow"):
        cae.diagnosis.watch(cae.strided_autoencoder(), images, "code", [])


def test_run_files_of_before_are_read(tmp_path):
    content = {"step": [0], "loss": [0.1], "seconds": 1.0, "settings": {"steps": 1}}
    (tmp_path / "run.json").write_text(json.dumps({**content, "interrupted": False}))
    assert TrainingRun.load(tmp_path / "run.json").optimizer is None


# Places that don't fit


def argmax_net(size, **unpooling):
    image = keras.Input((size, size, 1))
    values, places = cae.layers.MaxPoolingWithArgmax2D()(layers.Conv2D(2, 3, padding="same")(image))
    x = cae.layers.MaxUnpooling2D(**unpooling)([values, places])
    return keras.Model(image, layers.Conv2D(1, 3, padding="same")(x))


def test_odd_images_in_an_argmax_net_are_named_before_anything_is_compiled():
    images = np.random.default_rng(0).random((40, 27, 27, 1)).astype("float32")
    with pytest.raises(ValueError, match="output_size") as error:
        quick(argmax_net(27), images)
    for cause in ("not a multiple", "include_batch_in_index", "another size"):
        assert cause in str(error.value)
    quick(argmax_net(27, output_size=27), images)


class CountingTheBatch(layers.Layer):
    """TensorFlow's pooling, with the indices as some of its users ask for them."""

    def call(self, x):
        return tf.nn.max_pool_with_argmax(x, 2, 2, "SAME", include_batch_in_index=True)

    def compute_output_spec(self, x):
        shape = (x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3])
        return keras.KerasTensor(shape, "float32"), keras.KerasTensor(shape, "int64")


def test_indices_that_count_the_batch_are_named(images):
    image = keras.Input((28, 28, 1))
    values, places = CountingTheBatch()(image)
    model = keras.Model(image, cae.layers.MaxUnpooling2D()([values, places]))
    with pytest.raises(ValueError, match="include_batch_in_index"):
        cae.diagnose(model, images)


@pytest.mark.parametrize("subject", [0.1, "model"])
def test_images_are_checked_once_on_the_way_through(images, monkeypatch, subject):
    from cae_lessons import batches, diagnosis, mnist

    calls, check = [], mnist.check_images

    def counted(*arguments):
        calls.append(arguments)
        return check(*arguments)

    for module in (mnist, batches, diagnosis):
        monkeypatch.setattr(module, "check_images", counted)
    cae.diagnose(cae.unpooling_autoencoder("nearest") if subject == "model" else subject, images)
    assert len(calls) == 1


def test_a_loss_of_logits_says_that_the_output_is_logits(images):
    model = nested(encoder({}), decoder("linear"))
    logits = model(images[:20]).numpy()
    np.testing.assert_array_equal(cae.reconstruct(model, images[:20]), logits)
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    np.testing.assert_allclose(
        cae.reconstruct(model, images[:20]), 1 / (1 + np.exp(-logits)), rtol=1e-5
    )
    assert cae.diagnose(model, images).output_activation == "logits"


def test_a_folded_model_is_diagnosed_like_the_one_it_comes_from(images):
    model = cae.unpooling_autoencoder(
        "zero-fill", decoder_order="unpool-deconv", hidden="relu", output="sigmoid"
    )
    folded = cae.models.fold_unpooling(model)
    one, other = cae.diagnose(model, images), cae.diagnose(folded, images)
    assert one.loss == pytest.approx(other.loss, rel=1e-4)
    assert one.verdict == other.verdict
    assert one.output_activation == other.output_activation == "sigmoid"
    hidden = "transposed_convolution_1"
    assert one.dead_maps[hidden].tolist() == other.dead_maps[hidden].tolist()
    assert other.remarks == ()
