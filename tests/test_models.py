import functools

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

import cae_lessons as cae
from cae_lessons.models import gives_logits

SHAPES = {
    "image": (None, 28, 28, 1),
    "convolution_1": (None, 14, 14, 16),
    "code": (None, 7, 7, 32),
    "transposed_convolution_1": (None, 14, 14, 16),
    "reconstruction": (None, 28, 28, 1),
}


def kernels(model):
    return [layer.kernel.numpy() for layer in model.layers[1:]]


def randomized(model, seed=0):
    """Give `model` weights of which none is special, and return it."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0, 0.2, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def test_layers_and_shapes():
    model = cae.strided_autoencoder()
    assert {layer.name: layer.output.shape for layer in model.layers} == SHAPES
    assert model.name == "strided_autoencoder"


@pytest.mark.parametrize(("decoder_bias", "biases"), [(False, 16 + 32), (True, 16 + 32 + 16 + 1)])
def test_parameters_by_hand(decoder_bias, biases):
    taps = 5 * 5 * (1 * 16 + 16 * 32 + 32 * 16 + 16 * 1)
    assert cae.strided_autoencoder(decoder_bias=decoder_bias).count_params() == taps + biases


@pytest.mark.parametrize("hidden", ["relu", "sigmoid"])
@pytest.mark.parametrize("output", ["relu", "sigmoid", "linear", "logits"])
def test_forward_pass_equals_numpy_loops(hidden, output):
    model = randomized(cae.strided_autoencoder(hidden=hidden, output=output))
    image = np.random.default_rng(1).random((28, 28, 1))
    expected = reference.strided_autoencoder(image, model.get_weights(), hidden, output)
    result = model(image[np.newaxis].astype(np.float32)).numpy()[0]
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (8, 12), (1, 1), (4, 9), (2, 3)])
def test_layers_equal_numpy_loops_on_any_size(size):
    model = randomized(cae.strided_autoencoder())
    image = np.random.default_rng(2).random((*size, 1))
    x = image[np.newaxis].astype(np.float32)
    for layer in model.layers[1:]:
        x = layer(x)
    expected = reference.strided_autoencoder(image, model.get_weights())
    np.testing.assert_allclose(x[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 32, 784])
def test_layers_of_a_dense_code(size):
    model = cae.narrow_autoencoder(size)
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes["code"] == (size,)
    assert shapes["expansion"] == (7 * 7 * 32,)
    assert shapes["reconstruction"] == (28, 28, 1)
    halves = 5 * 5 * (1 * 16 + 16 * 32) + 16 + 32, 5 * 5 * (32 * 16 + 16 * 1) + 16 + 1
    dense = 1568 * size + size + size * 1568 + 1568
    assert model.count_params() == sum(halves) + dense


def test_layers_of_a_code_of_maps():
    model = cae.narrow_autoencoder(code_channels=3, decoder_bias=False)
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes["code"] == (7, 7, 3)
    assert shapes["expansion"] == (7, 7, 32)
    halves = 5 * 5 * (1 * 16 + 16 * 32) + 16 + 32, 5 * 5 * (32 * 16 + 16 * 1)
    assert model.count_params() == sum(halves) + 32 * 3 + 3 + 3 * 32


def test_code_of_no_numbers_draws_one_picture_and_learns_the_mean_image(digits):
    model = cae.narrow_autoencoder(0)
    images = digits.train.images[:1000]
    run = cae.train(model, images, steps=150, learning_rate=0.003, progress=False)
    pictures = cae.reconstruct(model, images[:5])
    np.testing.assert_array_equal(pictures, pictures[:1].repeat(5, axis=0))
    best = cae.floors.mean_image(images)
    assert best <= cae.mean_squared_error(model, images) < 1.1 * best < run.loss[0]


def test_code_is_linear_in_the_maps_before_it():
    model = randomized(cae.narrow_autoencoder(5))
    encoder, _ = cae.models.encoder_and_decoder(model)
    images = np.random.default_rng(4).random((3, 28, 28, 1)).astype("float32")
    maps = keras.Model(model.input, model.get_layer("convolution_2").output)(images).numpy()
    kernel, bias = model.get_layer("code").get_weights()
    expected = maps.reshape(3, -1) @ kernel + bias
    np.testing.assert_allclose(encoder(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("code", [{"code_size": 0}, {"code_size": 7}, {"code_channels": 2}])
def test_halves_make_the_whole_and_share_its_weights(code, tmp_path):
    model = randomized(cae.narrow_autoencoder(**code))
    encoder, decoder = cae.models.encoder_and_decoder(model)
    images = np.random.default_rng(5).random((3, 28, 28, 1)).astype("float32")
    np.testing.assert_allclose(decoder(encoder(images)), model(images), atol=1e-6)
    randomized(model, seed=1)
    np.testing.assert_allclose(decoder(encoder(images)), model(images), atol=1e-6)
    model.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(again(images), model(images))


def test_halves_need_a_code_and_a_chain():
    argmax = cae.unpooling_autoencoder("argmax", decoder_order="unpool-deconv")
    with pytest.raises(ValueError, match="must be a chain of layers"):
        cae.models.encoder_and_decoder(argmax)
    plain = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 1, name="only")])
    with pytest.raises(ValueError, match="has no layer named 'code', only only"):
        cae.models.encoder_and_decoder(plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either code_size or code_channels"),
        ({"code_size": 2, "code_channels": 2}, "give either code_size or code_channels"),
        ({"code_size": 785}, "code_size must be a whole number from 0 to 784, got 785"),
        ({"code_size": True}, "code_size must be a whole number from 0 to 784, got True"),
        ({"code_size": 2.5}, "code_size must be a whole number from 0 to 784, got 2.5"),
        ({"code_channels": 0}, "code_channels must be a whole number from 1 to 32, got 0"),
        ({"code_size": 2, "hidden": "tanh"}, "hidden must be one of"),
        ({"code_size": 2, "output": "softmax"}, "output must be one of"),
    ],
)
def test_impossible_codes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        cae.narrow_autoencoder(**options)


def test_residual_model_adds_its_input():
    model = randomized(cae.strided_autoencoder(output="linear"))
    images = np.random.default_rng(6).random((2, 28, 28, 1)).astype("float32")
    both = cae.models.residual(model)
    np.testing.assert_allclose(both(images), images + model(images), atol=1e-6)
    assert both.count_params() == model.count_params()
    smaller = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3)])
    with pytest.raises(ValueError, match=r"must have its input's shape, \(8, 8, 1\)"):
        cae.models.residual(smaller)


def test_decoder_bias_is_added():
    model = randomized(cae.strided_autoencoder(output="linear", decoder_bias=True))
    image = np.random.default_rng(3).random((28, 28, 1))
    *kernels_and_biases, kernel_3, bias_3, kernel_4, bias_4 = model.get_weights()
    x = image
    for kernel, bias in zip(kernels_and_biases[::2], kernels_and_biases[1::2], strict=True):
        x = reference.relu(reference.convolution(x, kernel, 2) + bias)
    x = reference.relu(reference.transposed_convolution(x, kernel_3, 2) + bias_3)
    x = reference.transposed_convolution(x, kernel_4, 2) + bias_4
    result = model(image[np.newaxis].astype(np.float32)).numpy()[0]
    np.testing.assert_allclose(result, x, rtol=1e-4, atol=1e-5)


def test_hand_made_weights_copy_the_image(digits):
    model = cae.strided_autoencoder()
    model.set_weights(reference.copying_weights())
    images = digits.test.images[:50]
    np.testing.assert_array_equal(model(images).numpy(), images)


@pytest.mark.parametrize(
    ("name", "adjoint_name", "shape"),
    [
        ("convolution_1", "reconstruction", (28, 28, 1)),
        ("code", "transposed_convolution_1", (14, 14, 16)),
        ("convolution_1", "reconstruction", (6, 10, 1)),
    ],
)
def test_transposed_convolution_is_the_adjoint(name, adjoint_name, shape):
    # Without biases, and with all numbers positive, relu does nothing.
    model = cae.strided_autoencoder()
    layer, adjoint = model.get_layer(name), model.get_layer(adjoint_name)
    rng = np.random.default_rng(4)
    kernel = rng.random(layer.kernel.shape)
    layer.set_weights([kernel, np.zeros(layer.filters)])
    adjoint.set_weights([kernel])
    x = rng.random((3, *shape)).astype(np.float32)
    forward = layer(x).numpy()
    y = rng.random(forward.shape).astype(np.float32)
    inner = np.sum(forward.astype(float) * y)
    assert inner == pytest.approx(np.sum(adjoint(y).numpy().astype(float) * x), rel=1e-5)


@pytest.mark.parametrize(
    ("hidden", "output"), [("relu", "relu"), ("sigmoid", "sigmoid"), ("relu", "linear")]
)
def test_gradient_equals_finite_differences_of_the_loops(hidden, output):
    model = randomized(cae.strided_autoencoder(hidden=hidden, output=output))
    rng = np.random.default_rng(5)
    image, target = rng.random((2, 28, 28, 1))
    with tf.GradientTape() as tape:
        result = model(image[np.newaxis].astype(np.float32))[0]
        loss = tf.reduce_mean(tf.square(result - target.astype(np.float32)))
    gradients = tape.gradient(loss, model.trainable_variables)
    weights = [weight.astype(float) for weight in model.get_weights()]

    def reference_loss(index, change):
        changed = [*weights[:index], weights[index] + change, *weights[index + 1 :]]
        picture = reference.strided_autoencoder(image, changed, hidden, output)
        return np.mean((picture - target) ** 2)

    for index, gradient in enumerate(gradients):
        direction = np.sign(gradient) * rng.random(gradient.shape)  # no sum that cancels
        step = 1e-6 * direction
        slope = (reference_loss(index, step) - reference_loss(index, -step)) / 2e-6
        assert slope > 0
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("hidden", ["relu", "leaky_relu", "sigmoid"])
def test_hidden_is_the_decoders_activation(hidden):
    model = cae.strided_autoencoder(hidden=hidden)
    activations = [layer.activation.__name__ for layer in model.layers[1:]]
    assert activations == ["relu", "relu", hidden, "relu"]


@pytest.mark.parametrize(
    ("output", "activation", "name"),
    [
        ("relu", "relu", "reconstruction"),
        ("leaky_relu", "leaky_relu", "reconstruction"),
        ("sigmoid", "sigmoid", "reconstruction"),
        ("linear", "linear", "reconstruction"),
        ("logits", "linear", "logits"),
    ],
)
def test_output_is_the_last_activation(output, activation, name):
    model = cae.strided_autoencoder(output=output)
    assert model.layers[-1].activation.__name__ == activation
    assert model.layers[-1].name == name
    assert gives_logits(model) == (output == "logits")


def test_leaky_relu_passes_a_fifth_of_what_is_below_0():
    relu, leaky = (
        randomized(cae.strided_autoencoder(output=output)) for output in ("linear", "leaky_relu")
    )
    images = np.random.default_rng(7).random((2, 28, 28, 1)).astype(np.float32)
    z = relu(images).numpy()
    assert z.min() < 0 < z.max()
    np.testing.assert_allclose(leaky(images), np.where(z < 0, 0.2 * z, z), rtol=1e-5, atol=1e-6)


BUILDERS = {
    "strided": cae.strided_autoencoder,
    "nearest": functools.partial(cae.unpooling_autoencoder, "nearest"),
    "mirrored": functools.partial(
        cae.unpooling_autoencoder, "argmax", decoder_order="unpool-deconv"
    ),
}
builders = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


@builders
@pytest.mark.parametrize("decoder_bias", [False, True])
def test_output_bias_starts_where_it_is_told(build, decoder_bias):
    plain = build(output="sigmoid", decoder_bias=decoder_bias, output_bias=None)
    biased = build(output="sigmoid", decoder_bias=decoder_bias, output_bias=-1.9)
    first, last = (layer for layer in biased.layers if "Transpose" in type(layer).__name__)
    np.testing.assert_array_equal(last.bias, np.float32([-1.9]))
    assert last.bias.trainable
    assert first.use_bias == decoder_bias
    assert biased.count_params() == plain.count_params() + (not decoder_bias)
    # All else starts alike.
    for one, other in zip(plain.weights, biased.weights, strict=False):
        if one.shape != (1,):
            np.testing.assert_array_equal(one, other)


@builders
def test_every_kernel_comes_from_the_initializer(build):
    for initializer in ("glorot_uniform", "he_normal", keras.initializers.Constant(0.5)):
        model = build(kernel_initializer=initializer, seed=2)
        for layer in (each for each in model.layers if hasattr(each, "kernel")):
            kernel = layer.kernel.numpy()
            if initializer == "glorot_uniform":
                limit = np.sqrt(6 / (25 * sum(kernel.shape[2:])))
                assert 0.9 * limit < np.abs(kernel).max() <= limit
            elif initializer == "he_normal":  # Keras takes the third axis for the inputs
                expected = np.sqrt(2 / (25 * kernel.shape[2]))
                assert kernel.std() == pytest.approx(expected, rel=0.15)
            else:
                np.testing.assert_array_equal(kernel, 0.5)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"hidden": "tanh"}, "hidden must be one of 'relu', 'leaky_relu', 'sigmoid'"),
        ({"hidden": "linear"}, "hidden must be one of 'relu', 'leaky_relu', 'sigmoid'"),
        ({"hidden": None}, "hidden must be one of 'relu', 'leaky_relu', 'sigmoid'"),
        ({"output": "softmax"}, r"output must be one of 'relu', 'leaky_relu', .*'logits'"),
        ({"output": ["relu"]}, r"output must be one of 'relu', 'leaky_relu', .*'logits'"),
    ],
)
def test_other_options_name_the_allowed_ones(option, message):
    with pytest.raises(ValueError, match=message):
        cae.strided_autoencoder(**option)


def test_options_are_keywords():
    with pytest.raises(TypeError):
        cae.strided_autoencoder("relu")


def test_same_seed_same_weights():
    first, second, other = (cae.strided_autoencoder(seed=seed) for seed in (3, 3, 4))
    for one, same, different in zip(kernels(first), kernels(second), kernels(other), strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.any(one == different)


def test_numpy_integers_are_seeds():
    for one, same in zip(
        kernels(cae.strided_autoencoder(seed=np.int64(3))),
        kernels(cae.strided_autoencoder(seed=3)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("initializer", [None, "he_normal"])
def test_layers_start_with_different_numbers(initializer):
    model = cae.strided_autoencoder(kernel_initializer=initializer)
    first, second, third, fourth = kernels(model)
    assert first.shape == fourth.shape
    assert second.shape == third.shape
    assert not np.any(first == fourth)
    assert not np.any(second == third)


def test_neighbouring_seeds_share_no_kernel():
    seen = [
        kernel.flat[0]
        for seed in range(8)
        for kernel in kernels(cae.strided_autoencoder(seed=seed))
    ]
    assert len(set(seen)) == len(seen) == 32


def test_initial_weights_are_the_articles():
    model = cae.strided_autoencoder(decoder_bias=True)
    numbers = np.concatenate([kernel.ravel() for kernel in kernels(model)])
    assert np.abs(numbers).max() <= 0.2  # truncated at two standard deviations …
    assert np.abs(numbers).max() > 0.19
    # … which leaves 0.8796 of 0.1; 26,400 numbers tell their deviation to 0.4 %.
    assert numbers.std() == pytest.approx(0.08796, rel=0.02)
    assert numbers.mean() == pytest.approx(0, abs=0.003)
    for layer in model.layers[1:]:
        np.testing.assert_array_equal(layer.bias.numpy(), np.float32(0.1))


def test_initializer_by_name_depends_on_the_seed():
    first, second, other = (
        kernels(cae.strided_autoencoder(kernel_initializer="he_normal", seed=seed))
        for seed in (1, 1, 2)
    )
    for one, same, different in zip(first, second, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.any(one == different)
    # He's deviation is the root of 2 over the fan-in.
    assert first[1].std() == pytest.approx(np.sqrt(2 / (5 * 5 * 16)), rel=0.03)


def test_initializers_own_seed_is_respected():
    initializer = keras.initializers.RandomNormal(stddev=0.3, seed=7)
    expected = keras.initializers.RandomNormal(stddev=0.3, seed=7)((5, 5, 1, 16))
    for seed in (0, 1):
        model = cae.strided_autoencoder(kernel_initializer=initializer, seed=seed)
        np.testing.assert_array_equal(kernels(model)[0], expected)


def test_initializer_without_a_seed_is_taken_as_it_is():
    model = cae.strided_autoencoder(kernel_initializer=keras.initializers.Constant(0.25))
    for kernel in kernels(model):
        np.testing.assert_array_equal(kernel, 0.25)


def test_initializer_may_be_a_function():
    model = cae.strided_autoencoder(
        kernel_initializer=lambda shape, dtype=None: keras.ops.full(shape, 0.5, dtype)
    )
    for kernel in kernels(model):
        np.testing.assert_array_equal(kernel, 0.5)


def test_unknown_initializer():
    with pytest.raises(ValueError, match="nonsense"):
        cae.strided_autoencoder(kernel_initializer="nonsense")


def test_building_leaves_the_users_random_state_alone():
    np.random.seed(11)
    tf.random.set_seed(11)
    expected = np.random.random(), float(tf.random.uniform(()))
    np.random.seed(11)
    tf.random.set_seed(11)
    cae.strided_autoencoder()
    assert (np.random.random(), float(tf.random.uniform(()))) == expected


@pytest.mark.parametrize("output", ["relu", "logits"])
def test_saved_model_is_the_same_model(tmp_path, output):
    model = randomized(cae.strided_autoencoder(hidden="sigmoid", output=output, decoder_bias=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert gives_logits(loaded) == gives_logits(model)
    image = np.random.default_rng(6).random((2, 28, 28, 1)).astype(np.float32)
    np.testing.assert_array_equal(cae.reconstruct(loaded, image), cae.reconstruct(model, image))
