"""`fold_unpooling`: fewer products, the same numbers, the same weights."""

import warnings

import keras
import numpy as np
import pytest

import cae_lessons as cae
from cae_lessons.layers import ZeroFillUnpooling2D
from cae_lessons.models import fold_unpooling, gives_logits

NETS = [
    (unpooling, order)
    for unpooling in ("zero-fill", "nearest")
    for order in ("deconv-unpool", "unpool-deconv")
]

nets = pytest.mark.parametrize(("unpooling", "order"), NETS)


@pytest.fixture
def images(digits):
    return digits.train.images[:120]


def upsampling(**options):
    return keras.layers.UpSampling2D(dtype="float64", **options)


def pair(unpooling, kernel_size=3, shape=(3, 5, 2), **options):
    """Unpool, then convolve: whole numbers in float64, so that every sum is exact."""
    image = keras.Input(shape, dtype="float64")
    options = {"padding": "same", **options}
    convolution = keras.layers.Conv2DTranspose(4, kernel_size, dtype="float64", **options)
    return with_whole_weights(keras.Model(image, convolution(unpooling(image))))


def with_whole_weights(model):
    generator = np.random.default_rng(0)
    model.set_weights([generator.integers(1, 10, w.shape) for w in model.get_weights()])
    return model


def assert_folded(model, size=(3, 5)):
    folded = fold_unpooling(model)
    assert len(folded.layers) == 2
    assert folded.inputs[0].dtype == "float64"
    assert folded.output_shape == model.output_shape
    x = np.random.default_rng(1).integers(1, 10, (2, *size, 2)).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = folded(x)
    np.testing.assert_allclose(images, model(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kernel_size", [1, 3, 4, 5, (2, 5)])
@pytest.mark.parametrize("pool_size", [(2, 2), (3, 3), (1, 2), (3, 2)])
@pytest.mark.parametrize("layer", [ZeroFillUnpooling2D, keras.layers.UpSampling2D])
@pytest.mark.parametrize("use_bias", [False, True])
def test_the_pair_becomes_one_layer_of_equal_output(layer, pool_size, kernel_size, use_bias):
    assert_folded(pair(layer(pool_size, dtype="float64"), kernel_size, use_bias=use_bias))


def test_images_of_unknown_size():
    assert_folded(pair(upsampling(), shape=(None, None, 2)), size=(4, 6))


def test_a_sequential_model():
    convolution = keras.layers.Conv2DTranspose(4, 3, padding="same", dtype="float64")
    image = keras.Input((3, 5, 2), dtype="float64")
    assert_folded(with_whole_weights(keras.Sequential([image, upsampling(), convolution])))


@pytest.mark.parametrize(
    "options",
    [
        {"strides": 2},
        {"dilation_rate": 2},
        {"padding": "valid"},
        {"output_padding": 0},
        {"activity_regularizer": "l2"},
    ],
    ids=str,
)
def test_other_transposed_convolutions_stay(options):
    model = pair(ZeroFillUnpooling2D(dtype="float64"), **options)
    assert len(fold_unpooling(model).layers) == 3


@pytest.mark.parametrize(
    "layer",
    [
        upsampling(interpolation="bilinear"),
        keras.layers.Resizing(6, 10, interpolation="nearest", dtype="float64"),
    ],
)
def test_other_resizing_stays(layer):
    assert len(fold_unpooling(pair(layer)).layers) == 3


@nets
def test_a_folded_net_shares_its_weights_and_trains_them(unpooling, order, images):
    twins = [cae.unpooling_autoencoder(unpooling, decoder_order=order) for _ in range(2)]
    folded = fold_unpooling(twins[0])
    assert [id(v) for v in folded.variables] == [id(v) for v in twins[0].variables]
    settings = {"steps": 5, "learning_rate": 0.001, "progress": False}
    runs = [cae.train(model, images, **settings) for model in (folded, twins[1])]
    np.testing.assert_allclose(runs[0].loss, runs[1].loss, rtol=1e-4)
    assert runs[0].settings["model"] == runs[1].settings["model"]
    assert cae.mean_squared_error(twins[0], images) == pytest.approx(
        cae.mean_squared_error(folded, images), rel=1e-6
    )
    assert cae.diagnose(folded, images).picture.loss == pytest.approx(
        cae.diagnose(twins[0], images).picture.loss, rel=1e-6
    )


def test_a_folded_net_of_logits_is_still_one():
    model = cae.unpooling_autoencoder("nearest", decoder_order="unpool-deconv", output="logits")
    assert gives_logits(fold_unpooling(model))


def test_nothing_to_fold():
    model = cae.strided_autoencoder()
    folded = fold_unpooling(model)
    assert [layer.name for layer in folded.layers] == [layer.name for layer in model.layers]


def test_what_is_no_chain_is_refused():
    image = keras.Input((4, 4, 1))
    layer = keras.layers.Conv2D(1, 3, padding="same")
    once = layer(image)
    for outputs in (once + 1.0, [once, layer(once)], layer(once)):
        with pytest.raises(ValueError, match="no chain of layers"):
            fold_unpooling(keras.Model(image, outputs))


def test_argmax_nets_are_refused():
    model = cae.unpooling_autoencoder("argmax", decoder_order="unpool-deconv")
    with pytest.raises(ValueError, match="argmax_autoencoder is no chain of layers"):
        fold_unpooling(model)
