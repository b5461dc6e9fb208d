"""The nets outside of Keras: as SavedModel, in ONNX and in TFLite, on real digits."""

import importlib.util
import warnings

import keras
import numpy as np
import pytest

import cae_lessons as cae
from cae_lessons.layers import MaxPoolingWithArgmax2D, MaxUnpooling2D

NETS = ["strided", "zero-fill", "nearest"] + [
    f"mirrored {unpooling}" for unpooling in ("zero-fill", "nearest", "argmax")
]
nets = pytest.mark.parametrize("net", NETS)
MISSING = [
    name for name in ("onnx", "tf2onnx", "onnxruntime") if importlib.util.find_spec(name) is None
]
needs_onnx = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")


def build(net):
    if net == "strided":
        return cae.strided_autoencoder()
    *mirrored, unpooling = net.split(" ")
    order = "unpool-deconv" if mirrored else "deconv-unpool"
    return cae.unpooling_autoencoder(unpooling, decoder_order=order)


@pytest.fixture
def images(digits):
    return digits.test.images[:5]


def run_saved_model(path, images):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    return loaded.serve(images).numpy()


def run_onnx(path, images):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def run_tflite(content, images):
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow announces that this will move
        interpreter = tf.lite.Interpreter(model_content=content)
    image, picture = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(image["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(image["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(picture["index"])


def assert_same(run, exported, model, images):
    for batch in (images[:2], images):
        expected = keras.ops.convert_to_numpy(model(batch))
        np.testing.assert_allclose(run(exported, batch), expected, atol=1e-5)


@nets
def test_saved_model_and_tflite(net, images, tmp_path):
    import tensorflow as tf

    model = build(net)
    path = str(tmp_path / "model")
    model.export(path, verbose=False)
    assert_same(run_saved_model, path, model, images)
    content = tf.lite.TFLiteConverter.from_saved_model(path).convert()
    assert_same(run_tflite, content, model, images)


@needs_onnx
@nets
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")  # Keras asks NumPy
def test_onnx(net, images, tmp_path):
    model = build(net)
    model(images[:1])  # Keras exports to ONNX what was called before
    path = str(tmp_path / "model.onnx")
    model.export(path, format="onnx", verbose=False)
    assert_same(run_onnx, path, model, images)


@needs_onnx
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
@pytest.mark.parametrize("pool_size", [2, 3, 6, (5, 8)])
def test_windows_that_overhang_the_image(pool_size, tmp_path):
    import tensorflow as tf

    image = keras.Input((7, 7, 2))
    pooled, argmax = MaxPoolingWithArgmax2D(pool_size)(image)
    model = keras.Model(image, MaxUnpooling2D(pool_size, 7)([pooled, argmax]))
    x = np.random.default_rng(0).random((3, 7, 7, 2), "float32")
    model(x)
    model.export(str(tmp_path / "model.onnx"), format="onnx", verbose=False)
    model.export(str(tmp_path / "model"), verbose=False)
    content = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "model")).convert()
    assert_same(run_onnx, str(tmp_path / "model.onnx"), model, x)
    x[0, 0, 0] = np.inf  # not in ONNX: tf2onnx makes products of choices, and so NaN of it
    assert_same(run_tflite, content, model, x)


def test_a_folded_net_is_exported_too(images, tmp_path):
    net = cae.unpooling_autoencoder("nearest", decoder_order="unpool-deconv")
    model = cae.models.fold_unpooling(net)
    path = str(tmp_path / "model")
    model.export(path, verbose=False)
    assert_same(run_saved_model, path, net, images)
