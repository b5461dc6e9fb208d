import inspect
import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

import cae_lessons as cae
from cae_lessons import floors
from cae_lessons.layers import MaxPoolingWithArgmax2D, MaxUnpooling2D, ZeroFillUnpooling2D
from cae_lessons.mnist import IDX_FILES
from cae_lessons.models import gives_logits

ARTICLE, MIRROR = "deconv-unpool", "unpool-deconv"
NETS = [
    ("zero-fill", ARTICLE),
    ("nearest", ARTICLE),
    ("zero-fill", MIRROR),
    ("nearest", MIRROR),
    ("argmax", MIRROR),
]
ENCODER = {
    "image": (None, 28, 28, 1),
    "convolution_1": (None, 28, 28, 16),
    "pooling_1": (None, 14, 14, 16),
    "convolution_2": (None, 14, 14, 32),
    "code": (None, 7, 7, 32),
}
DECODER = {
    ARTICLE: {
        "transposed_convolution_1": (None, 7, 7, 16),
        "unpooling_1": (None, 14, 14, 16),
        "transposed_convolution_2": (None, 14, 14, 1),
        "reconstruction": (None, 28, 28, 1),
    },
    MIRROR: {
        "unpooling_1": (None, 14, 14, 32),
        "transposed_convolution_1": (None, 14, 14, 16),
        "unpooling_2": (None, 28, 28, 16),
        "reconstruction": (None, 28, 28, 1),
    },
}
KERNELS = [(5, 5, 1, 16), (5, 5, 16, 32), (5, 5, 16, 32), (5, 5, 1, 16)]
LAYERS = {
    "zero-fill": ZeroFillUnpooling2D,
    "nearest": keras.layers.UpSampling2D,
    "argmax": MaxUnpooling2D,
}
FLOORS = {"zero-fill": floors.zero_fill, "nearest": floors.nearest}

all_nets = pytest.mark.parametrize(("unpooling", "order"), NETS)
article_nets = pytest.mark.parametrize("unpooling", ["zero-fill", "nearest"])


def build(unpooling, order=ARTICLE, **options):
    return cae.unpooling_autoencoder(unpooling, decoder_order=order, **options)


def randomized(model, seed=0, scale=0.2):
    """Give `model` weights of which none is special, and return it."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [rng.normal(0, scale, w.shape).astype(np.float32) for w in model.get_weights()]
    )
    return model


def noise(count, seed=1):
    """Return pictures without a flat region, where rounding would decide which pixel is largest."""
    return np.random.default_rng(seed).random((count, 28, 28, 1)).astype(np.float32)


def convolving(model):
    return [layer for layer in model.layers if hasattr(layer, "kernel")]


# The nets by plain loops


def pool(image):
    """Return the largest of each 2 × 2 block of each channel, and where it was."""
    height, width, channels = image.shape
    pooled = np.zeros((height // 2, width // 2, channels))
    places = np.zeros((*pooled.shape, 2), int)
    for i, j, c in np.ndindex(pooled.shape):
        block = [(y, x) for y in (2 * i, 2 * i + 1) for x in (2 * j, 2 * j + 1)]
        y, x = max(block, key=lambda place: image[place][c])  # of equals the first
        pooled[i, j, c], places[i, j, c] = image[y, x, c], (y, x)
    return pooled, places


def unpool(values, kind, places):
    height, width, channels = values.shape
    image = np.zeros((2 * height, 2 * width, channels))
    for i, j, c in np.ndindex(values.shape):
        if kind == "nearest":
            image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c] = values[i, j, c]
        else:
            y, x = places[i, j, c] if kind == "argmax" else (2 * i, 2 * j)
            image[y, x, c] = values[i, j, c]
    return image


def by_loops(image, weights, unpooling, order, hidden="sigmoid", output="sigmoid"):
    """Return the net's output for one image; the weights hold decoder biases or none."""
    weights = [weight.astype(float) for weight in weights]
    kernel_1, bias_1, kernel_2, bias_2 = weights[:4]
    if len(weights) == 6:
        kernel_3, kernel_4, bias_3, bias_4 = *weights[4:], 0, 0
    else:
        kernel_3, bias_3, kernel_4, bias_4 = weights[4:]

    def deconv_1(x):
        x = reference.transposed_convolution(x, kernel_3, 1) + bias_3
        return reference.ACTIVATIONS[hidden](x)

    def deconv_2(x):
        x = reference.transposed_convolution(x, kernel_4, 1) + bias_4
        return reference.ACTIVATIONS[output](x)

    x, where_1 = pool(reference.relu(reference.convolution(image, kernel_1, 1) + bias_1))
    x, where_2 = pool(reference.relu(reference.convolution(x, kernel_2, 1) + bias_2))
    if order == ARTICLE:
        return unpool(deconv_2(unpool(deconv_1(x), unpooling, where_2)), unpooling, where_1)
    return deconv_2(unpool(deconv_1(unpool(x, unpooling, where_2)), unpooling, where_1))


@all_nets
@pytest.mark.parametrize(
    ("hidden", "output", "decoder_bias"),
    [
        ("sigmoid", "sigmoid", False),
        ("relu", "relu", False),
        ("sigmoid", "linear", True),
        ("relu", "logits", True),
    ],
)
def test_forward_pass_equals_numpy_loops(unpooling, order, hidden, output, decoder_bias):
    model = randomized(
        build(unpooling, order, hidden=hidden, output=output, decoder_bias=decoder_bias)
    )
    images = noise(2)
    expected = [
        by_loops(image, model.get_weights(), unpooling, order, hidden, output) for image in images
    ]
    np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-4)


@all_nets
def test_gradient_equals_finite_differences_of_the_loops(unpooling, order):
    model = randomized(build(unpooling, order))
    image, target = noise(2, seed=2).astype(float)
    with tf.GradientTape() as tape:
        result = model(image[np.newaxis].astype(np.float32))[0]
        loss = tf.reduce_mean(tf.square(result - target.astype(np.float32)))
    gradients = tape.gradient(loss, model.trainable_variables)
    weights = [weight.astype(float) for weight in model.get_weights()]
    rng = np.random.default_rng(3)

    def reference_loss(index, change):
        changed = [*weights[:index], weights[index] + change, *weights[index + 1 :]]
        return np.mean((by_loops(image, changed, unpooling, order) - target) ** 2)

    assert len(gradients) == 6
    for index, gradient in enumerate(gradients):
        direction = np.sign(gradient) * rng.random(gradient.shape)  # no sum that cancels
        step = 1e-6 * direction
        slope = (reference_loss(index, step) - reference_loss(index, -step)) / 2e-6
        assert slope > 0
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=2e-3)


@all_nets
def test_hand_made_weights_keep_the_brightest_of_four_by_four(digits, unpooling, order):
    # Kernels that only pass map 0 on leave pooling by 4, and unpooling by 4.
    model = build(unpooling, order, hidden="relu", output="relu")
    weights = [np.zeros_like(weight) for weight in model.get_weights()]
    for kernel in (weights[0], weights[2], weights[4], weights[5]):
        kernel[2, 2, 0, 0] = 1
    model.set_weights(weights)
    images = digits.test.images[:20]
    blocks = images.reshape(20, 7, 4, 7, 4)
    brightest = blocks.max(axis=(2, 4), keepdims=True)
    expected = np.zeros_like(blocks)
    if unpooling == "nearest":
        expected += brightest
    elif unpooling == "zero-fill":
        expected[:, :, :1, :, :1] = brightest
    else:
        # Of equals the first of the first 2 × 2 block that has one.
        for n, i, j in np.ndindex(20, 7, 7):
            places = sorted(np.ndindex(4, 4), key=lambda p: (p[0] // 2, p[1] // 2, *p))
            y, x = max(places, key=lambda p: blocks[n, i, p[0], j, p[1]])
            expected[n, i, y, j, x] = blocks[n, i, y, j, x]
    np.testing.assert_array_equal(model(images), expected.reshape(images.shape))


# Layers, shapes, parameters, defaults


@all_nets
@pytest.mark.parametrize("output", ["sigmoid", "logits"])
def test_layers_and_shapes(unpooling, order, output):
    model = build(unpooling, order, output=output)
    shapes = {}
    for layer in model.layers:
        outputs = layer.output if isinstance(layer.output, (list, tuple)) else [layer.output]
        assert len({tensor.shape for tensor in outputs}) == 1
        shapes[layer.name] = outputs[0].shape
    last = {"reconstruction": output} if output == "logits" else {}
    assert shapes == ENCODER | {
        last.get(name, name): shape for name, shape in DECODER[order].items()
    }
    assert model.layers[-1].name == ("logits" if output == "logits" else "reconstruction")
    assert model.name == f"{unpooling.replace('-', '_')}_autoencoder"
    assert model.input_shape == model.output_shape == (None, 28, 28, 1)


@all_nets
def test_layers_are_the_unpoolings_own(unpooling, order):
    model = build(unpooling, order)
    unpoolings = [layer for layer in model.layers if isinstance(layer, LAYERS[unpooling])]
    last = "reconstruction" if order == ARTICLE else "unpooling_2"
    assert [layer.name for layer in unpoolings] == ["unpooling_1", last]
    pooling = MaxPoolingWithArgmax2D if unpooling == "argmax" else keras.layers.MaxPooling2D
    for name in ("pooling_1", "code"):
        assert isinstance(model.get_layer(name), pooling)
    for layer in convolving(model):
        assert layer.padding == "same"
        assert tuple(layer.kernel_size) == (5, 5)
        assert tuple(layer.strides) == (1, 1)


@all_nets
@pytest.mark.parametrize(("decoder_bias", "biases"), [(False, 16 + 32), (True, 16 + 32 + 16 + 1)])
def test_parameters_by_hand(unpooling, order, decoder_bias, biases):
    taps = 5 * 5 * (1 * 16 + 16 * 32 + 32 * 16 + 16 * 1)
    model = build(unpooling, order, decoder_bias=decoder_bias)
    assert model.count_params() == taps + biases
    assert [layer.kernel.shape for layer in convolving(model)] == KERNELS
    assert [layer.use_bias for layer in convolving(model)] == [True, True] + 2 * [decoder_bias]


def test_the_code_has_twice_as_many_numbers_as_the_image():
    assert np.prod(build("nearest").get_layer("code").output.shape[1:]) == 1568 == 2 * 28 * 28


def test_defaults_are_the_articles():
    parameters = inspect.signature(cae.unpooling_autoencoder).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    assert defaults == {
        "unpooling": inspect.Parameter.empty,
        "decoder_order": "deconv-unpool",
        "hidden": "sigmoid",
        "output": "sigmoid",
        "decoder_bias": False,
        "output_bias": None,
        "kernel_initializer": None,
        "seed": 0,
    }
    model, explicit = cae.unpooling_autoencoder("nearest"), build("nearest", ARTICLE)
    assert [layer.name for layer in model.layers] == [layer.name for layer in explicit.layers]
    for one, same in zip(model.get_weights(), explicit.get_weights(), strict=True):
        np.testing.assert_array_equal(one, same)


@all_nets
def test_initial_weights_are_the_articles(unpooling, order):
    model = build(unpooling, order, decoder_bias=True)
    numbers = np.concatenate([layer.kernel.numpy().ravel() for layer in convolving(model)])
    assert 0.19 < np.abs(numbers).max() <= 0.2  # truncated at two standard deviations …
    # … which leaves 0.8796 of 0.1; 26,400 numbers tell their deviation to 0.4 %.
    assert numbers.std() == pytest.approx(0.08796, rel=0.02)
    assert numbers.mean() == pytest.approx(0, abs=0.003)
    for layer in convolving(model):
        np.testing.assert_array_equal(layer.bias.numpy(), np.float32(0.1))


def test_kernel_initializer_reaches_every_kernel():
    model = build("argmax", MIRROR, kernel_initializer=keras.initializers.Constant(0.25))
    for layer in convolving(model):
        np.testing.assert_array_equal(layer.kernel.numpy(), 0.25)


@all_nets
def test_same_seed_same_weights(unpooling, order):
    first, second, other = (
        [layer.kernel.numpy() for layer in convolving(build(unpooling, order, seed=seed))]
        for seed in (3, 3, 4)
    )
    for one, same, different in zip(first, second, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.any(one == different)
    assert not np.any(first[0] == first[3])
    assert not np.any(first[1] == first[2])


def test_all_nets_start_from_the_same_kernels():
    # So that a comparison of variants with one seed compares the variants.
    starts = [convolving(build(*net, seed=5)) for net in NETS]
    for layers in starts[1:]:
        for layer, first in zip(layers, starts[0], strict=True):
            np.testing.assert_array_equal(layer.kernel.numpy(), first.kernel.numpy())


# Options


@all_nets
@pytest.mark.parametrize("output", ["relu", "sigmoid", "linear", "logits"])
def test_all_options_build_and_give_outputs_in_their_range(unpooling, order, output):
    for hidden, decoder_bias in itertools.product(("relu", "sigmoid"), (False, True)):
        options = {"hidden": hidden, "output": output, "decoder_bias": decoder_bias}
        model = build(unpooling, order, **options)
        last = "linear" if output == "logits" else output
        activations = [layer.activation.__name__ for layer in convolving(model)]
        assert activations == ["relu", "relu", hidden, last]
        assert gives_logits(model) == (output == "logits")
        # Larger weights would round sigmoids to 0 and 1.
        result = randomized(model, scale=0.1)(noise(3)).numpy()
        assert result.shape == (3, 28, 28, 1)
        assert np.isfinite(result).all()
        if order == ARTICLE:
            result = result[:, ::2, ::2]  # where the values are
        if output == "sigmoid":
            assert result.min() > 0
            assert result.max() < 1
        elif output == "relu":
            assert result.min() >= 0
            assert result.max() > 0
        else:
            assert result.min() < 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"unpooling": "bilinear"}, "unpooling must be one of 'zero-fill', 'nearest', 'argmax'"),
        ({"unpooling": "zero_fill"}, "unpooling must be one of 'zero-fill', 'nearest', 'argmax'"),
        ({"unpooling": None}, "unpooling must be one of 'zero-fill', 'nearest', 'argmax'"),
        ({"unpooling": ["argmax"]}, "unpooling must be one of 'zero-fill', 'nearest', 'argmax'"),
        (
            {"decoder_order": "mirror"},
            "decoder_order must be one of 'deconv-unpool', 'unpool-deconv'",
        ),
        ({"decoder_order": None}, "decoder_order must be one of 'deconv-unpool', 'unpool-deconv'"),
        ({"hidden": "tanh"}, "hidden must be one of 'relu', 'leaky_relu', 'sigmoid'"),
        ({"hidden": "linear"}, "hidden must be one of 'relu', 'leaky_relu', 'sigmoid'"),
        ({"output": "softmax"}, r"output must be one of 'relu', 'leaky_relu', .*'logits'"),
        ({"output": 1}, r"output must be one of 'relu', 'leaky_relu', .*'logits'"),
    ],
)
def test_other_options_name_the_allowed_ones(option, message):
    with pytest.raises(ValueError, match=message):
        cae.unpooling_autoencoder(**{"unpooling": "nearest", **option})


@pytest.mark.parametrize("order", [{}, {"decoder_order": ARTICLE}])
def test_argmax_in_the_articles_order_says_why_not(order):
    with pytest.raises(ValueError, match=r"argmax.*unpool-deconv.* 1 channel.* 16"):
        cae.unpooling_autoencoder("argmax", **order)


def test_all_options_but_the_unpooling_are_keywords():
    with pytest.raises(TypeError):
        cae.unpooling_autoencoder("nearest", "unpool-deconv")
    with pytest.raises(TypeError):
        cae.unpooling_autoencoder()


def test_unknown_initializer():
    with pytest.raises(ValueError, match="nonsense"):
        build("nearest", kernel_initializer="nonsense")


# Saving


@all_nets
@pytest.mark.parametrize("output", ["sigmoid", "logits"])
def test_saved_model_is_the_same_model(tmp_path, unpooling, order, output):
    model = randomized(build(unpooling, order, output=output, decoder_bias=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert gives_logits(loaded) == gives_logits(model)
    images = noise(2, seed=6)
    np.testing.assert_array_equal(loaded(images), model(images))


def test_argmax_net_loads_in_another_process(tmp_path):
    model = randomized(build("argmax", MIRROR, output="logits"))
    images = noise(2, seed=7)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import os, sys, keras, numpy\n"
        "import cae_lessons as cae\n"
        "os.chdir(sys.argv[1])\n"
        "model = keras.saving.load_model('model.keras')\n"
        "numpy.save('pictures.npy', cae.reconstruct(model, numpy.load('images.npy')))\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, timeout=reference.HANGING
    )
    pictures = np.load(tmp_path / "pictures.npy")
    np.testing.assert_allclose(pictures, cae.reconstruct(model, images), rtol=1e-6)


# Pictures


@all_nets
def test_picture_of_logits_is_their_sigmoid(unpooling, order):
    images = noise(3)
    model = randomized(build(unpooling, order, output="logits"))
    probabilities = 1 / (1 + np.exp(-model(images).numpy().astype(float)))
    np.testing.assert_allclose(cae.reconstruct(model, images), probabilities, rtol=1e-5)
    loss = np.mean((probabilities - images) ** 2)
    assert cae.mean_squared_error(model, images) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("output", ["relu", "sigmoid", "linear", "logits"])
@pytest.mark.parametrize("scale", [0.1, 3])
def test_zero_fill_in_the_articles_order_is_black_off_the_corners(output, scale):
    images = noise(3)
    model = randomized(build("zero-fill", output=output, decoder_bias=True), scale=scale)
    picture = cae.reconstruct(model, images).reshape(3, 14, 2, 14, 2)
    # The sigmoid of logits comes after the unpooling: its zeros become grey.
    off_corner = 0.5 if output == "logits" else 0
    for i, j in [(0, 1), (1, 0), (1, 1)]:
        np.testing.assert_array_equal(picture[:, :, i, :, j], off_corner)
    assert np.ptp(picture[:, :, 0, :, 0]) > 0


@pytest.mark.parametrize("output", ["relu", "sigmoid", "linear", "logits"])
@pytest.mark.parametrize("scale", [0.1, 3])
def test_nearest_in_the_articles_order_is_constant_in_blocks(output, scale):
    images = noise(3)
    model = randomized(build("nearest", output=output, decoder_bias=True), scale=scale)
    picture = cae.reconstruct(model, images).reshape(3, 14, 2, 14, 2)
    assert np.ptp(picture) > 0
    assert not np.ptp(picture, axis=(2, 4)).any()


@pytest.mark.parametrize("unpooling", LAYERS)
def test_mirrored_picture_is_free_of_both(unpooling):
    picture = cae.reconstruct(randomized(build(unpooling, MIRROR)), noise(3))
    blocks = picture.reshape(3, 14, 2, 14, 2)
    assert blocks.min() > 0
    assert np.ptp(blocks, axis=(2, 4)).max() > 0.01


@pytest.mark.parametrize("output", ["relu", "sigmoid", "linear"])
@article_nets
def test_no_weights_beat_the_floor(digits, unpooling, output):
    images = digits.test.images[:100]
    floor = FLOORS[unpooling](images)
    model = build(unpooling, output=output)
    for seed, scale in enumerate([0.01, 0.1, 0.2, 0.5]):
        assert cae.mean_squared_error(randomized(model, seed, scale), images) >= floor - 1e-9


# Training


@all_nets
def test_gradients_reach_all_weights(digits, unpooling, order):
    model = build(unpooling, order, decoder_bias=True)
    images = digits.train.images[:20]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(images) - images))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert len(gradients) == 8
    for weight, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert np.isfinite(gradient).all(), weight.path
        assert np.mean(gradient.numpy() != 0) > 0.9, weight.path


@all_nets
def test_training_starts_from_the_independent_loss(digits, unpooling, order):
    images = digits.train.images[:4]
    model = build(unpooling, order)
    before = model.get_weights()
    pictures = [by_loops(image, before, unpooling, order) for image in images]
    run = cae.train(model, images, steps=6, batch_size=4, progress=False)
    assert run.step == list(range(6))
    assert run.loss[0] == pytest.approx(np.mean((pictures - images) ** 2), rel=1e-4)
    assert np.isfinite(run.loss).all()
    assert min(run.loss) < run.loss[0]
    if order == ARTICLE:
        assert min(run.loss) > FLOORS[unpooling](images)
    for old, new in zip(before, model.get_weights(), strict=True):
        assert np.mean(old != new) > 0.9


@pytest.mark.parametrize(("unpooling", "order"), [("nearest", ARTICLE), ("argmax", MIRROR)])
def test_cross_entropy_training_of_logits_starts_from_the_independent_loss(
    digits, unpooling, order
):
    images = digits.train.images[:2]
    model = build(unpooling, order, output="logits")
    weights = model.get_weights()
    logits = np.array([by_loops(x, weights, unpooling, order, output="logits") for x in images])
    expected = np.mean(np.logaddexp(0, logits) - images * logits)
    run = cae.train(model, images, steps=2, batch_size=2, loss="bce", progress=False)
    assert run.loss[0] == pytest.approx(expected, rel=1e-4)


# Another data set


@pytest.fixture(scope="module")
def rectangles(tmp_path_factory):
    """Return a data set in MNIST's format: grey rectangles, one an image, labelled by height."""
    rng = np.random.default_rng(8)
    directory = tmp_path_factory.mktemp("rectangles")
    for part, count in (("train", 5060), ("test", 40)):
        images = np.zeros((count, 28, 28), np.uint8)
        top, left = rng.integers(0, 20, (2, count))
        heights, widths = rng.integers(1, 10, (2, count))
        for image, y, x, height, width in zip(images, top, left, heights, widths, strict=True):
            image[y : y + height, x : x + width] = rng.integers(1, 256)
        for kind, array in (("images", images), ("labels", heights)):
            content = reference.idx_bytes(array)
            (directory / IDX_FILES[f"{part}_{kind}"]).write_bytes(content)
    return cae.load_mnist(directory)


def test_another_data_set_has_floors_of_its_own(rectangles):
    assert [len(part.images) for part in rectangles] == [60, 5000, 40]
    images = rectangles.test.images
    pixels = images.astype(float)
    blocks = pixels.reshape(40, 14, 2, 14, 2)
    variance = blocks.var(axis=(2, 4)).mean()
    assert floors.nearest(images) == pytest.approx(variance, rel=1e-9)
    assert floors.zero_fill(images) == pytest.approx(
        np.mean(pixels**2) - np.sum(pixels[:, ::2, ::2] ** 2) / pixels.size, rel=1e-9
    )
    brightest = np.sum(blocks.max(axis=(2, 4)) ** 2) / pixels.size
    assert floors.argmax(images) == pytest.approx(np.mean(pixels**2) - brightest, rel=1e-9)
    assert 0 < floors.argmax(images) < floors.zero_fill(images) < floors.all_black(images)


@all_nets
def test_nets_work_with_another_data_set(rectangles, unpooling, order):
    model = build(unpooling, order)
    run = cae.train(model, rectangles.train.images, steps=2, batch_size=20, progress=False)
    loss = cae.mean_squared_error(model, rectangles.test.images)
    assert np.isfinite(run.loss).all()
    assert loss >= FLOORS.get(unpooling, floors.nearest)(rectangles.test.images) * (
        order == ARTICLE
    )
    pictures = cae.reconstruct(model, rectangles.test.images)
    assert loss == pytest.approx(np.mean((pictures - rectangles.test.images) ** 2), rel=1e-5)
