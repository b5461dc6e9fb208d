import keras
import numpy as np
import pytest
import reference

import cae_lessons as cae
from cae_lessons.diagnosis import (
    activations,
    dead_maps,
    dead_phases,
    phase_losses,
    receptive_field,
)


@pytest.fixture(scope="module")
def images(digits):
    return digits.test.images[:100]


@pytest.fixture
def model():
    """Return a strided net that copies its input exactly; maps 16 to 31 of its code are 0."""
    model = cae.strided_autoencoder()
    model.set_weights(reference.copying_weights())
    return model


def grid(*phases, period=4):
    """Return a (period, period) array that is True at `phases`."""
    result = np.zeros((period, period), bool)
    for phase in phases:
        result[phase] = True
    return result


def test_copying_net_has_no_dead_phase(model, images):
    assert not dead_phases(cae.reconstruct(model, images), images).any()


@pytest.mark.parametrize("i", [0, 1])
@pytest.mark.parametrize("j", [0, 1])
def test_killed_output_phase_is_found(model, images, i, j):
    # Under SAME, the kernel entries (dy, dx) of odd dy - i, dx - j make the output phase (i, j).
    layer = model.get_layer("reconstruction")
    kernel = layer.kernel.numpy()
    kernel[1 - i :: 2, 1 - j :: 2] = -1000
    layer.set_weights([kernel])
    pictures = cae.reconstruct(model, images)
    np.testing.assert_array_equal(
        dead_phases(pictures, images, period=2), grid((i, j), period=2), strict=True
    )
    every_second = [(y, x) for y in (i, i + 2) for x in (j, j + 2)]
    np.testing.assert_array_equal(dead_phases(pictures, images), grid(*every_second))
    assert cae.mean_squared_error(model, images) == pytest.approx(
        np.mean(images[:, i::2, j::2].astype(float) ** 2) / 4
    )


@pytest.mark.parametrize("index", [0, 5, 11])
def test_killed_code_map_is_found_and_so_is_its_phase(model, images, index):
    layer = model.get_layer("code")
    kernel, bias = layer.get_weights()
    bias[index] = -1000
    layer.set_weights([kernel, bias])
    dead = np.zeros(32, bool)
    dead[[index, *range(16, 32)]] = True
    np.testing.assert_array_equal(dead_maps(model, images), dead, strict=True)
    # Map 4c + 2i + j is the pixel (i, j) of map c = 2I + J, which holds the phase (I, J).
    c, i, j = index // 4, index // 2 % 2, index % 2
    phase = 2 * i + c // 2, 2 * j + c % 2
    np.testing.assert_array_equal(
        dead_phases(cae.reconstruct(model, images), images), grid(phase), strict=True
    )


def test_one_pixel_above_zero_keeps_a_map_alive(model, images):
    few = np.zeros_like(images[:2])
    few[1, 4, 8] = 1e-3  # phase (0, 0): map 0 of the code
    np.testing.assert_array_equal(np.flatnonzero(~dead_maps(model, few)), [0])


def test_dead_maps_of_another_layer(model, images):
    dead = dead_maps(model, images, "convolution_1")
    np.testing.assert_array_equal(np.flatnonzero(~dead), range(4))


def test_activations_are_the_layers_output(images):
    model = cae.strided_autoencoder(seed=5)
    kernel, bias, *_ = model.get_weights()
    expected = reference.relu(reference.convolution(images[3], kernel, 2) + bias)
    result = activations(model, images, "convolution_1")
    assert result.shape == (100, 14, 14, 16)
    np.testing.assert_allclose(result[3], expected, rtol=1e-5, atol=1e-6)


def test_activations_of_no_layer_or_no_images(model, images):
    with pytest.raises(ValueError, match="nowhere"):
        activations(model, images, "nowhere")
    with pytest.raises(ValueError, match="shape"):
        activations(model, images[:, :14], "code")
    with pytest.raises(ValueError, match="NaN"):
        dead_maps(model, np.full_like(images, np.nan))


@pytest.mark.parametrize(
    ("shape", "period"),
    [
        ((3, 8, 12, 1), 4),
        ((2, 6, 6, 3), 2),
        ((2, 6, 6, 3), 3),
        ((1, 5, 7, 1), 1),
        ((4, 4, 4, 2), 4),
    ],
)
def test_phase_losses_equal_slices_and_sum_to_the_error(shape, period):
    rng = np.random.default_rng(0)
    pictures, images = rng.random((2, *shape))
    losses = phase_losses(pictures, images, period)
    assert losses.shape == (period, period)
    assert losses.dtype == np.float64
    assert losses.sum() == pytest.approx(np.mean((pictures - images) ** 2))
    for i in range(period):
        for j in range(period):
            errors = (pictures - images)[:, i::period, j::period] ** 2
            assert losses[i, j] == pytest.approx(np.sum(errors) / images.size)


def test_phase_losses_of_bytes_do_not_wrap():
    pictures, images = np.full((2, 1, 2, 2, 1), [[[[[1]]]], [[[[2]]]]], np.uint8)
    np.testing.assert_array_equal(phase_losses(pictures, images, 1), [[1.0]])


def test_dead_is_five_percent_better_than_black():
    images = np.ones((1, 2, 2, 1))
    kept = np.array([0.99, 0.951, 0.949, 0.0])  # of the loss of black
    pictures = 1 - np.sqrt(kept).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(
        dead_phases(pictures, images, 2), [[True, True], [False, False]], strict=True
    )


@pytest.mark.parametrize("function", [phase_losses, dead_phases])
@pytest.mark.parametrize(
    ("pictures", "images", "period", "message"),
    [
        ((2, 4, 4, 1), (1, 4, 4, 1), 4, r"\(2, 4, 4, 1\).*\(1, 4, 4, 1\)"),
        ((2, 4, 4, 1), (2, 4, 4), 4, r"\(2, 4, 4\)"),
        ((2, 6, 4, 1), (2, 6, 4, 1), 4, "6 × 4.*period 4"),
        ((2, 4, 6, 1), (2, 4, 6, 1), 4, "4 × 6.*period 4"),
        ((4, 4, 1), (4, 4, 1), 4, r"shape"),
        ((2, 4, 4, 1), (2, 4, 4, 1), 0, "period"),
        ((2, 4, 4, 1), (2, 4, 4, 1), -4, "period"),
    ],
)
def test_phase_errors(function, pictures, images, period, message):
    with pytest.raises(ValueError, match=message):
        function(np.zeros(pictures), np.zeros(images), period)


def reach(kernels_and_strides):
    """Return how many pixels in a row a unit sees, by the arithmetic of strides."""
    size, jump = 1, 1
    for kernel, stride in kernels_and_strides:
        size, jump = size + (kernel - 1) * jump, jump * stride
    return size


@pytest.mark.parametrize("unpooling", ["zero-fill", "argmax"])
def test_receptive_field_follows_the_kernels_and_strides(unpooling):
    model = cae.unpooling_autoencoder(unpooling, decoder_order="unpool-deconv")
    layers = [("convolution_1", 5, 1), ("pooling_1", 2, 2), ("convolution_2", 5, 1), ("code", 2, 2)]
    for count, (layer, _, _) in enumerate(layers, start=1):
        position = (14, 14) if count == 1 else (7, 7) if count < 4 else (3, 3)
        size = reach([each[1:] for each in layers[:count]])
        field = receptive_field(model, layer, position)
        assert field.sum() == size**2
        rows, columns = np.nonzero(field)
        assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == size


@pytest.mark.parametrize("position", [(3, 3), (0, 0), (6, 2)])
def test_receptive_field_is_where_the_gradient_is(position):
    import tensorflow as tf

    model = cae.strided_autoencoder()
    field = receptive_field(model, "code", position)
    model.set_weights([np.ones_like(array) for array in model.get_weights()])
    image = tf.Variable(np.ones((1, 28, 28, 1), "float32"))
    encoder = keras.Model(model.input, model.get_layer("code").output)
    with tf.GradientTape() as tape:
        unit = encoder(image)[0, position[0], position[1], 0]
    np.testing.assert_array_equal(field, tape.gradient(unit, image)[0, ..., 0] > 0)


def test_receptive_field_leaves_the_model_as_it_is():
    model = cae.strided_autoencoder()
    before = model.get_weights()
    receptive_field(model, "code", (3, 3))
    assert all(map(np.array_equal, before, model.get_weights()))
    with pytest.raises(IndexError):
        receptive_field(model, "code", (7, 0))
    with pytest.raises(ValueError, match="No such layer"):
        receptive_field(model, "coda", (0, 0))
