"""What works with Keras on any backend: run as it is, and by `make test-jax` and `test-torch`."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import reference

import cae_lessons as cae

BACKEND = keras.backend.backend()


@pytest.fixture(scope="module")
def images(digits):
    return digits.test.images[:60]


def copying_net():
    model = cae.strided_autoencoder()
    model.set_weights(reference.copying_weights())
    return model


def test_reconstructions_equal_plain_loops(images):
    model = cae.strided_autoencoder(hidden="sigmoid", seed=3)
    weights = [keras.ops.convert_to_numpy(weight.value) for weight in model.weights]
    expected = [reference.strided_autoencoder(x, weights, hidden="sigmoid") for x in images[:3]]
    np.testing.assert_allclose(cae.reconstruct(model, images[:3]), expected, rtol=1e-4, atol=1e-5)
    error = np.mean((np.array(expected) - images[:3]) ** 2)
    assert cae.mean_squared_error(model, images[:3]) == pytest.approx(error, rel=1e-4)


def test_diagnosis_of_a_healthy_and_of_a_dead_net(images, recwarn):
    found = cae.diagnose(copying_net(), images)
    assert found.verdict == "trained"
    assert found.dead_maps["code"].sum() == 16
    assert not found.dead_phases.any()
    dead = copying_net()
    dead.get_layer("reconstruction").kernel.assign(-np.ones((5, 5, 1, 16), "float32"))
    found = cae.diagnose(dead, images)
    assert (found.verdict, found.picture) == ("collapsed", "all black")
    assert not [warning for warning in recwarn if "cae_lessons" in str(warning.filename)]


def test_mirrored_argmax_net_and_its_receptive_field(images):
    model = cae.unpooling_autoencoder("argmax", decoder_order="unpool-deconv")
    assert cae.diagnose(model, images).dead_phases is None
    assert cae.diagnosis.receptive_field(model, "code", (3, 3)).sum() == 16**2
    assert cae.diagnosis.activations(model, images[:2], "code").shape == (2, 7, 7, 32)
    z = cae.diagnosis.pre_activations(model, images[:2], "convolution_1")
    np.testing.assert_allclose(
        np.maximum(z, 0), cae.diagnosis.activations(model, images[:2], "convolution_1")
    )


def test_callback_watches_fit(images):
    model = cae.unpooling_autoencoder("nearest")
    model.compile(keras.optimizers.Adam(0.01), "mse")
    watch = cae.callbacks.Diagnosis(images, every=4, verbose=0)
    model.fit(images, images, batch_size=5, verbose=0, callbacks=[watch])
    assert [step for step, _ in watch.findings] == [4, 8, 12]
    assert watch.findings[-1][1].loss == pytest.approx(
        cae.mean_squared_error(model, images), rel=1e-4
    )


@pytest.mark.skipif(BACKEND == "tensorflow", reason="needs another backend")
def test_training_says_what_it_needs(images):
    with pytest.raises(RuntimeError, match=f"TensorFlow backend, but Keras runs on {BACKEND}"):
        cae.train(cae.strided_autoencoder(), images)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="needs another backend")
def test_diagnosis_loads_no_tensorflow():
    code = (
        "import sys, cae_lessons as cae\n"
        "cae.diagnose(cae.strided_autoencoder(), cae.load_mnist().test.images[:10])\n"
        "print('tensorflow' in sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"
