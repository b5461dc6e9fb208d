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
from cae_lessons.layers import ZeroFillUnpooling2D


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


def constant_net(value):
    """Return a strided net that draws one grey for every image."""
    model = cae.strided_autoencoder(output="linear", decoder_bias=True)
    weights = [np.zeros_like(weight) for weight in model.get_weights()]
    weights[-1][:] = value
    model.set_weights(weights)
    return model


@pytest.mark.parametrize(
    ("picture", "name"),
    [
        (lambda x: np.zeros_like(x), "all black"),
        (lambda x: np.ones_like(x), "all white"),
        (lambda x: np.full_like(x, 0.5), "all ½"),
        (lambda x: np.full_like(x, x.mean()), "constant"),
        (lambda x: np.broadcast_to(x.mean(axis=0), x.shape), "mean image"),
        (lambda x: x * cae.layers.corner_mask(28, 2), "best zero-fill"),
        (lambda x: x, "perfect"),
    ],
)
def test_loss_of_a_degenerate_picture_is_named(images, picture, name):
    x = images.astype(np.float64)
    loss = np.mean((picture(x) - x) ** 2)
    found = cae.diagnose(loss, images)
    assert found.verdict == name
    assert found.distance == pytest.approx(0, abs=1e-7)
    assert found.known["best nearest"] == cae.floors.nearest(images)


def test_loss_with_dead_phases_counts_them(digits):
    images = digits.test.images
    pictures = images.copy()
    pictures[:, 1::4, ::4] = 0
    pictures[:, 2::4, 3::4] = 0
    found = cae.diagnose(np.mean((pictures - images) ** 2, dtype=np.float64), images)
    assert found.verdict == "2 of 16 phases black, if the decoder has strides"
    assert abs(found.distance) < 0.0005


@pytest.mark.parametrize(
    ("probability", "name"),
    [
        (lambda x: np.full_like(x, 0.5), "all ½"),
        (lambda x: np.maximum(x, 0.5), "relu as logits"),
        (lambda x: np.full_like(x, x.mean()), "constant"),
        (lambda x: np.clip(x, 0.5, reference.sigmoid(1)), "double sigmoid"),
    ],
)
def test_cross_entropy_of_a_degenerate_picture_is_named(images, probability, name):
    x = images.astype(np.float64)
    p = np.clip(probability(x), 1e-15, 1 - 1e-15)
    loss = np.mean(-x * np.log(p) - (1 - x) * np.log(1 - p))
    found = cae.diagnose(loss, images, loss="bce")
    assert found.verdict == name
    assert found.distance == pytest.approx(0, abs=1e-6)


def test_known_losses_of_other_sizes_leave_phases_out():
    known = cae.diagnosis.known_losses(np.full((3, 6, 5, 2), 0.5))
    assert not [name for name in known if "phases" in name]
    assert known["all ½"] == 0


@pytest.mark.parametrize(
    ("factor", "first"), [(1.01, "fits: all black"), (1.2, "fits none of the pictures below")]
)
def test_report_of_a_loss_names_the_nearest_first(images, factor, first):
    loss = factor * cae.floors.all_black(images)
    lines = str(cae.diagnose(loss, images)).splitlines()
    assert lines[0] == f"{loss:.6f} {first}"
    assert len(lines) == 4
    distances = [abs(float(line.split()[1])) for line in lines[1:]]
    assert distances == sorted(distances)


def test_copying_net_is_trained(model, images):
    found = cae.diagnose(model, images)
    assert str(found).splitlines()[0] == "trained; mean squared error 0.000000"
    assert found.verdict == "trained"
    assert found.picture is None
    assert found.loss == pytest.approx(0, abs=1e-12)
    assert found.variation == pytest.approx(1)
    assert not found.dead_phases.any()
    assert {layer: dead.sum() for layer, dead in found.dead_maps.items()} == {
        "convolution_1": 12,
        "code": 16,
        "transposed_convolution_1": 12,
        "reconstruction": 0,
    }


def test_net_with_a_killed_phase_is_partly_dead(model, images):
    layer = model.get_layer("reconstruction")
    kernel = layer.kernel.numpy()
    kernel[1::2, 1::2] = -1000
    layer.set_weights([kernel])
    found = cae.diagnose(model, images)
    assert found.verdict == "partly dead"
    np.testing.assert_array_equal(found.dead_phases, grid((0, 0), (0, 2), (2, 0), (2, 2)))
    assert "dead output phases: 4 of 16" in str(found)


@pytest.mark.parametrize(("value", "picture"), [(0, "all black"), (1, "all white")])
def test_one_picture_for_all_images_is_collapse(images, value, picture):
    found = cae.diagnose(constant_net(value), images)
    assert found.verdict == "collapsed"
    assert found.picture == picture
    assert str(found).startswith(f"collapsed ({picture}); mean squared error ")
    assert found.variation == pytest.approx(0, abs=1e-9)
    assert found.dead_units["transposed_convolution_1"] == 1


def test_dead_units_are_places_in_maps(model, images):
    rows = images.copy()
    rows[:, 8:] = 0
    found = cae.diagnose(model, rows)
    values = activations(model, rows, "code")
    assert found.dead_units["code"] == pytest.approx(np.mean(values.max(axis=0) == 0))
    assert found.dead_units["code"] > 0.8


def test_what_zero_fill_leaves_black_is_not_dead(images):
    model = cae.unpooling_autoencoder("zero-fill", hidden="relu", output="linear")
    ours = [np.zeros_like(weight) for weight in model.get_weights()]
    ours[0][2, 2, 0, 0] = ours[2][2, 2, 0, 0] = ours[4][2, 2, 0, 0] = ours[5][2, 2, 0, 0] = 1
    model.set_weights(ours)  # each pixel's block maximum, at the corner of 4 × 4
    found = cae.diagnose(model, images)
    assert found.dead_phases.shape == (4, 4)
    assert not found.dead_phases[1::2].any()
    assert not found.dead_phases[:, 1::2].any()


def test_phases_follow_the_pool_and_leave_out_what_is_black_by_design():
    images = np.kron(np.random.default_rng(0).random((5, 8, 8, 1)), np.ones((1, 3, 3, 1)))
    black = keras.layers.Conv2D(1, 1, kernel_initializer="zeros")
    layers = [keras.Input((24, 24, 1)), keras.layers.MaxPooling2D(3), black, ZeroFillUnpooling2D(3)]
    found = cae.diagnose(keras.Sequential(layers), images)
    np.testing.assert_array_equal(found.dead_phases, grid((0, 0), period=3))
    layers.remove(black)
    assert not cae.diagnose(keras.Sequential(layers), images).dead_phases.any()


def test_pixels_that_zero_fill_leaves_black_are_not_saturated(images):
    model = cae.unpooling_autoencoder("zero-fill", decoder_bias=True)
    weights = [np.zeros_like(weight) for weight in model.get_weights()]
    weights[-1][:] = -50  # what can be drawn is black
    model.set_weights(weights)
    expected = np.sum(images[:, ::2, ::2] > 0.5) / images.size
    assert cae.diagnose(model, images).saturated["picture"] == pytest.approx(expected)


def test_one_image_alone_is_no_collapse(images):
    identity = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(1, 1)])
    identity.set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    found = cae.diagnose(identity, images[:1])
    assert found.verdict == "trained"
    assert np.isnan(found.variation)
    assert "vary" not in str(found)


def test_dense_layers_have_units_and_no_places(images):
    dense = keras.layers.Dense(4, activation="relu", name="code")
    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), dense]
    layers += [keras.layers.Dense(784), keras.layers.Reshape((28, 28, 1))]
    model = keras.Sequential(layers)
    kernel = np.ones((784, 4)) * [1, -1, 1, -1]
    dense.set_weights([kernel, np.zeros(4)])
    found = cae.diagnose(model, images)
    assert found.dead_maps["code"].tolist() == [False, True, False, True]
    assert found.dead_units["code"] == 0.5
    assert cae.diagnosis.dead_maps(model, images).tolist() == [False, True, False, True]


def test_saturated_sigmoids_are_counted(images):
    model = cae.unpooling_autoencoder("nearest", decoder_bias=True)
    weights = [np.zeros_like(weight) for weight in model.get_weights()]
    weights[5][:8] = 50  # half of the 16 hidden maps stand at 1, the others at ½
    weights[-1][:] = -50  # all pixels black
    model.set_weights(weights)
    found = cae.diagnose(model, images)
    assert found.verdict == "collapsed"
    assert found.saturated["transposed_convolution_1"] == 0.5
    assert found.saturated["picture"] == pytest.approx(np.mean(images > 0.5))


def test_since_when_is_read_off_the_run(images):
    losses = [0.3] * 200 + [0.114] * 800
    run = cae.training.TrainingRun(list(range(1000)), losses, 1.0, {})
    found = cae.diagnose(constant_net(0), images, run=run)
    assert 190 <= found.since <= 200
    assert f"since step {found.since}" in str(found)
    falling = cae.training.TrainingRun(list(range(1000)), list(np.geomspace(1, 1e-3, 1000)), 1, {})
    assert cae.diagnose(constant_net(0), images, run=falling).since is None


@pytest.mark.parametrize("size", [10, 7])
def test_diagnosis_takes_images_of_any_size_and_decoders_without_phases(size):
    image = keras.Input((size, size, 3))
    model = keras.Model(image, keras.layers.Conv2D(3, 3, padding="same")(image))
    images = np.random.default_rng(0).random((20, size, size, 3))
    found = cae.diagnose(model, images)
    assert found.dead_phases is None
    assert "phases" not in str(found)


def test_impossible_questions_are_named(images, model):
    with pytest.raises(TypeError, match="got a str"):
        cae.diagnose("0.1", images)
    with pytest.raises(ValueError, match="'mse', 'bce'"):
        cae.diagnose(0.1, images, loss="mae")
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    found = cae.diagnose(model, images)
    assert found.verdict == "diverged"
    assert str(found) == "diverged: the pictures hold NaN or infinity"


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_pre_activations_become_activations(images, activation):
    model = cae.unpooling_autoencoder("nearest", hidden=activation, decoder_bias=True, seed=2)
    z = cae.diagnosis.pre_activations(model, images[:5], "transposed_convolution_1")
    assert z.min() < 0
    np.testing.assert_allclose(
        getattr(reference, activation)(z),
        activations(model, images[:5], "transposed_convolution_1"),
        rtol=1e-4,
        atol=1e-6,
    )


def test_layer_without_activation_is_named(images):
    model = cae.unpooling_autoencoder("nearest")
    with pytest.raises(ValueError, match=r"'pooling_1' has no activation"):
        cae.diagnosis.pre_activations(model, images, "pooling_1")


def test_watch_notes_each_step_before_it(images):
    model, records = cae.unpooling_autoencoder("nearest"), []
    name = "transposed_convolution_2"
    z = cae.diagnosis.pre_activations(model, images, name)
    look = cae.diagnosis.watch(model, images, name, records)
    before = cae.mean_squared_error(model, images)
    run = cae.train(model, images, steps=3, before_step=look)
    assert [record["step"] for record in records] == run.step == [0, 1, 2]
    np.testing.assert_allclose(
        records[0]["pre_activation"], np.percentile(z, (0, 5, 50, 95, 100)), rtol=1e-5
    )
    assert records[0]["loss"] == pytest.approx(before, rel=1e-5)


def test_watching_leaves_nothing_in_the_model(images):
    model = cae.unpooling_autoencoder("nearest")
    look = cae.diagnosis.watch(model, images, "transposed_convolution_2", [])
    consumers = len(model.get_layer("unpooling_1")._outbound_nodes)
    look(0)
    look(1)
    assert len(model.get_layer("unpooling_1")._outbound_nodes) == consumers


def test_what_cannot_be_watched_is_refused_at_once(images):
    model = cae.unpooling_autoencoder("nearest")
    with pytest.raises(ValueError, match="'pooling_1' has no kernel"):
        cae.diagnosis.watch(model, images, "pooling_1", [])
    with pytest.raises(ValueError, match="loss='mae', expected one of 'mse', 'bce'"):
        cae.diagnosis.watch(model, images, "convolution_1", [], loss="mae")


def test_watched_gradient_is_that_of_finite_differences(images):
    model, records = cae.unpooling_autoencoder("nearest", hidden="relu", output="linear"), []
    layer = model.get_layer("transposed_convolution_2")
    cae.diagnosis.watch(model, images, layer.name, records)(0)
    kernel, step = layer.kernel.numpy(), 1e-2
    direction = np.random.default_rng(0).normal(size=kernel.shape)
    losses = []
    for sign in (1, -1):
        layer.set_weights([kernel + sign * step * direction / np.linalg.norm(direction)])
        losses.append(cae.mean_squared_error(model, images))
    layer.set_weights([kernel])
    slope = abs(losses[0] - losses[1]) / (2 * step)
    assert 0 < slope <= records[0]["gradient"] * 1.001  # the steepest slope of all


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
    with pytest.raises(
        ValueError, match="has no layer 'coda'; its layers are: convolution_1, code"
    ):
        receptive_field(model, "coda", (0, 0))
