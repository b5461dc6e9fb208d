import keras
import numpy as np
import pytest
import reference
from keras import layers

import cae_lessons as cae
from cae_lessons.callbacks import SURE, SURE_WITHOUT_CAUSE, Diagnosis


@pytest.fixture(scope="module")
def images(digits):
    return digits.train.images[:600]


def fit(model, images, watch, *, learning_rate=0.01, epochs=1, loss="mse", **settings):
    model.compile(keras.optimizers.Adam(learning_rate, epsilon=1e-8), loss, **settings)
    return model.fit(images, images, batch_size=20, epochs=epochs, verbose=0, callbacks=[watch])


def collapsing(activation):
    """Return a net whose pictures are black from the first step on."""
    last = layers.Conv2D(
        1, 3, padding="same", activation=activation, name="last",
        kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(-30),
    )  # fmt: skip
    return keras.Sequential([keras.Input((28, 28, 1)), last])


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_collapse_is_said_in_one_line_as_soon_as_it_is_sure(images, capsys, activation):
    watch = Diagnosis(images, every=4)
    fit(collapsing(activation), images, watch)
    assert len(watch.messages) == 1
    message = watch.messages[0]
    assert message.startswith("since step 4, one picture for all images: all black; last ")
    assert "learning rate" in message
    assert ("logits" if activation == "sigmoid" else "linear") in message
    assert "\n" not in message
    assert capsys.readouterr().out.count(message) == 1
    assert [step for step, _ in watch.findings] == [4, 8, 12, 16, 20, 24, 28]


def test_it_can_stop_the_training(images):
    model, watch = collapsing("sigmoid"), Diagnosis(images, every=5, stop=True, verbose=0)
    fit(model, images, watch, epochs=3)
    assert len(watch.findings) == SURE
    assert int(model.optimizer.iterations) == 5 * SURE


def test_dead_phases_are_said_and_training_goes_on(images):
    model = cae.strided_autoencoder()
    model.set_weights(reference.copying_weights())
    kernel = model.get_layer("reconstruction").kernel.numpy()
    kernel[1::2, 1::2] = -1000
    model.get_layer("reconstruction").set_weights([kernel])
    watch = Diagnosis(images, every=3, stop=True, verbose=0)
    fit(model, images, watch, learning_rate=1e-6)
    assert len(watch.messages) == 1
    assert watch.messages[0].startswith(
        "since step 3, 4 of 16 phases black; reconstruction partly dead; try a linear output"
    )
    assert int(model.optimizer.iterations) == 30


def test_a_healthy_net_is_left_in_peace(images, capsys):
    watch = Diagnosis(images, every=5)
    model = cae.strided_autoencoder(output="linear")
    fit(model, images, watch, learning_rate=0.001, epochs=3)
    assert watch.findings[-1][1].verdict == "trained"
    assert watch.messages == []
    assert capsys.readouterr().out == ""
    assert [step for step, _ in watch.findings] == list(range(5, 91, 5))


def test_a_loss_that_is_no_number_is_said_at_once(images):
    model = cae.strided_autoencoder(output="linear")
    model.set_weights([np.full_like(weight, 1e20) for weight in model.get_weights()])
    watch = Diagnosis(images, every=1000, stop=True, verbose=0)
    fit(model, images, watch)
    assert watch.messages == ["since step 1, the loss isn't a number; try a smaller learning rate"]
    assert int(model.optimizer.iterations) == 1


def test_several_steps_an_execution_are_counted(images):
    watch = Diagnosis(images, every=7, verbose=0)
    fit(collapsing("sigmoid"), images, watch, steps_per_execution=5)
    assert [step for step, _ in watch.findings] == [10, 20, 30]


def test_targets_of_a_denoising_net(images):
    noisy = np.clip(images + 0.3 * np.random.default_rng(0).random(images.shape), 0, 1)
    watch = Diagnosis(noisy, images, every=30, verbose=0)
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Conv2D(1, 1)])
    fit(model, noisy, watch)
    error = cae.mean_squared_error(model, noisy[:250], images[:250])
    assert watch.findings[-1][1].loss == pytest.approx(error, rel=1e-4)


def test_what_it_cannot_watch_is_named(images):
    with pytest.raises(ValueError, match="every=0, must be a whole number of 1 or more"):
        Diagnosis(images, every=0)
    with pytest.raises(ValueError, match="divide them by 255"):
        Diagnosis(images * 255)


def test_one_picture_at_the_start_is_no_alarm_while_gradients_flow(images):
    # It draws one grey for the first steps, and nothing in it is dead or saturated.
    last = layers.Conv2D(1, 3, padding="same", kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((28, 28, 1)), last])
    watch = Diagnosis(images, every=1, verbose=0)
    fit(model, images, watch, learning_rate=5e-4)
    verdicts = [found.verdict for _, found in watch.findings]
    assert SURE < verdicts.count("collapsed") < SURE_WITHOUT_CAUSE
    assert watch.messages == []


def test_one_callback_watches_one_training_after_the_other(images):
    watch = Diagnosis(images, every=5, stop=True, verbose=0)
    for _ in range(2):
        model = collapsing("sigmoid")
        fit(model, images, watch)
        assert len(watch.messages) == 1
        assert [step for step, _ in watch.findings] == [5, 10, 15]
        assert int(model.optimizer.iterations) == 5 * SURE
