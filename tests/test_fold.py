"""`fold_unpooling`: fewer products, the same numbers, the same weights."""

import copy
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
    several = keras.layers.Concatenate()([once, image])
    for outputs in (once + 1.0, [once, layer(once)], layer(once), several):
        with pytest.raises(ValueError, match="model must be a chain of layers"):
            fold_unpooling(keras.Model(image, outputs))


def test_argmax_nets_are_refused():
    model = cae.unpooling_autoencoder("argmax", decoder_order="unpool-deconv")
    with pytest.raises(ValueError, match="got argmax_autoencoder: unpooling_2 takes"):
        fold_unpooling(model)


def test_a_subclassed_model_is_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="it must have one input and one output, and know them"):
        fold_unpooling(Subclassed())


# What becomes of a folded model


def folded_net(unpooling="nearest"):
    return fold_unpooling(cae.unpooling_autoencoder(unpooling, decoder_order="unpool-deconv"))


def saved_and_loaded(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


@pytest.mark.parametrize("unpooling", ["nearest", "zero-fill"])
def test_it_saves_loads_clones_copies_and_folds_again(unpooling, images, tmp_path):
    model = folded_net(unpooling)
    expected = model(images[:3]).numpy()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    again = fold_unpooling(model)
    others = [saved_and_loaded(model, tmp_path), clone, copy.deepcopy(model), again]
    for other in others:
        assert len(other.layers) == len(model.layers)
        assert other.count_params() == model.count_params()
        np.testing.assert_allclose(other(images[:3]), expected, atol=1e-6)
    np.testing.assert_allclose(fold_unpooling(others[0])(images[:3]), expected, atol=1e-6)
    assert all(w is v for w, v in zip(again.weights, model.weights, strict=True))


def test_the_given_model_is_not_harmed(images, tmp_path):
    model = cae.unpooling_autoencoder("nearest", decoder_order="unpool-deconv")
    expected = model(images[:3]).numpy()
    names = [layer.name for layer in model.layers]
    fold_unpooling(model)
    fold_unpooling(model)
    assert [layer.name for layer in model.layers] == names
    for other in (model, saved_and_loaded(model, tmp_path), keras.models.clone_model(model)):
        other.set_weights(model.get_weights())
        np.testing.assert_allclose(other(images[:3]), expected, atol=1e-6)


def test_a_folded_net_trains_by_fit_after_it_was_loaded(images, tmp_path):
    model = saved_and_loaded(folded_net(), tmp_path)
    before = model.get_weights()
    model.compile("sgd", "mse")
    model.fit(images, images, verbose=0)
    assert all((w != b).any() for w, b in zip(model.get_weights(), before, strict=True))


def test_models_within_a_model_are_taken_apart(images):
    image = keras.Input((28, 28, 1))
    encoder = keras.Sequential(
        [keras.layers.Conv2D(3, 3, 2, "same"), keras.layers.UpSampling2D()], name="encoder"
    )
    code = keras.Input((28, 28, 3))
    decoder = keras.Model(
        code, keras.layers.Conv2DTranspose(1, 3, padding="same", name="out")(code)
    )
    model = keras.Model(image, decoder(encoder(image)))
    folded = fold_unpooling(model)
    assert [layer.name for layer in folded.layers][2:] == ["out"]
    np.testing.assert_allclose(folded(images[:2]), model(images[:2]), atol=1e-6)


@keras.saving.register_keras_serializable("test_fold")
class Renamed(keras.layers.Conv2DTranspose):
    """A subclass that computes what its parent does."""


@keras.saving.register_keras_serializable("test_fold")
class Doubled(keras.layers.Conv2DTranspose):
    """A subclass that computes something else."""

    def call(self, x):
        return 2 * super().call(x)


@pytest.mark.parametrize(("kind", "count"), [(Renamed, 2), (Doubled, 3)])
def test_subclasses(kind, count, images, tmp_path):
    class OwnZeroFill(ZeroFillUnpooling2D):
        pass

    image = keras.Input((14, 14, 2))
    layer = kind(1, 3, padding="same")
    model = keras.Model(image, layer(OwnZeroFill(data_format="channels_last")(image)))
    folded = fold_unpooling(model)
    assert len(folded.layers) == count
    x = np.random.default_rng(0).random((2, 14, 14, 2), "float32")
    np.testing.assert_allclose(folded(x), model(x), atol=1e-6)
    if kind is Renamed:
        np.testing.assert_allclose(saved_and_loaded(folded, tmp_path)(x), model(x), atol=1e-6)


@pytest.mark.parametrize(
    ("policies", "count"), [(["mixed_float16"] * 2, 2), (["mixed_float16", "float32"], 3)]
)
def test_precision(policies, count, tmp_path):
    image = keras.Input((6, 6, 2))
    unpooled = keras.layers.UpSampling2D(dtype=policies[0])(image)
    layer = keras.layers.Conv2DTranspose(3, 3, padding="same", dtype=policies[1])
    model = keras.Model(image, layer(unpooled))
    folded = fold_unpooling(model)
    assert len(folded.layers) == count
    assert folded.outputs[0].dtype == model.outputs[0].dtype
    assert {v.dtype for v in folded.variables} == {"float32"}
    x = np.random.default_rng(0).random((2, 6, 6, 2), "float32")
    for other in (folded, saved_and_loaded(folded, tmp_path)):
        np.testing.assert_allclose(other(x), model(x), rtol=5e-3, atol=5e-3)


def test_options_of_a_call_are_kept():
    image = keras.Input((6, 6, 1))
    x = keras.layers.Dropout(0.5, seed=0)(image, training=True)
    convolution = keras.layers.Conv2DTranspose(1, 3, padding="same")
    folded = fold_unpooling(keras.Model(image, convolution(keras.layers.UpSampling2D()(x))))
    ones = np.ones((1, 6, 6, 1), "float32")
    assert (folded(ones).numpy() != folded(ones).numpy()).any()


# Whether a model gives logits


def nested(name):
    image = keras.Input((4, 4, 1))
    inner = keras.Sequential([keras.layers.Conv2D(1, 1, name=name)], name="decoder")
    return keras.Model(image, keras.Sequential([inner])(image))


class SubclassedNet(keras.Model):
    def __init__(self, name):
        super().__init__()
        self.last = keras.layers.Conv2D(1, 1, name=name)

    def call(self, x):
        return self.last(x)


@pytest.mark.parametrize("build", [nested, SubclassedNet])
def test_whether_a_nested_or_subclassed_model_gives_logits(build):
    assert gives_logits(build("logits"))
    assert not gives_logits(build("reconstruction"))


def test_the_layer_that_makes_the_output_counts_not_the_last_of_the_list():
    image = keras.Input((4, 4, 1))
    logits = keras.layers.Conv2D(1, 1, name="logits")(image)
    assert not gives_logits(keras.Model(image, keras.layers.Activation("sigmoid")(logits)))
    both = keras.Model(image, [logits, keras.layers.ReLU()(logits)])
    assert gives_logits(both)
    assert not gives_logits(keras.Sequential())


# Options of the nets


@pytest.mark.parametrize("decoder_bias", [False, True])
@pytest.mark.parametrize("net", ["strided", "article", "mirrored"])
def test_output_bias_starts_the_last_transposed_convolution(net, decoder_bias):
    options = {"output_bias": -1.9, "decoder_bias": decoder_bias, "hidden": "leaky_relu"}
    if net == "strided":
        model = cae.strided_autoencoder(output="leaky_relu", **options)
    else:
        order = "deconv-unpool" if net == "article" else "unpool-deconv"
        model = cae.unpooling_autoencoder("nearest", decoder_order=order, **options)
    *_, first, last = [x for x in model.layers if isinstance(x, keras.layers.Conv2DTranspose)]
    np.testing.assert_array_equal(last.bias.numpy(), np.float32([-1.9]))
    assert first.use_bias == decoder_bias
    assert first.activation is keras.activations.leaky_relu


def test_the_nets_are_the_same_whatever_layout_the_user_likes():
    expected = [layer.output.shape for layer in cae.strided_autoencoder().layers]
    keras.config.set_image_data_format("channels_first")
    try:
        model = cae.strided_autoencoder()
        others = [
            cae.unpooling_autoencoder(unpooling, decoder_order=order)
            for unpooling, order in [*NETS, ("argmax", "unpool-deconv")]
        ]
    finally:
        keras.config.set_image_data_format("channels_last")
    assert [layer.output.shape for layer in model.layers] == expected
    for other in others:
        assert other.output_shape == (None, 28, 28, 1)
        layouts = {layer.data_format for layer in other.layers if hasattr(layer, "data_format")}
        assert layouts == {"channels_last"}
