import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cae_lessons import floors
from cae_lessons.layers import MaxPoolingWithArgmax2D, MaxUnpooling2D, ZeroFillUnpooling2D

# Two pictures of two pixels.
SMALL = np.array([[0.0, 0.5], [0.5, 1.0]]).reshape(2, 1, 2, 1)

pictures = arrays(
    np.float32,
    array_shapes(min_dims=4, max_dims=4, max_side=4),
    elements=st.floats(0, 1, width=32),
)
greys = st.floats(-1, 2)


def error(picture, images):
    """Return the mean squared error by a plain loop."""
    total, picture = 0.0, np.broadcast_to(picture, images.shape)
    for index in np.ndindex(images.shape):
        total += (float(images[index]) - float(picture[index])) ** 2
    return total / images.size


@pytest.mark.parametrize(
    ("floor", "expected"),
    [
        (floors.all_black, (0 + 0.25 + 0.25 + 1) / 4),
        (floors.constant, (0.25 + 0 + 0 + 0.25) / 4),  # about 0.5
        (floors.mean_image, 0.0625),  # about 0.25 and 0.75
    ],
)
def test_floor_by_hand(floor, expected):
    assert floor(SMALL) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("floor", "expected"),
    [(floors.all_black, 0.113958), (floors.constant, 0.096398), (floors.mean_image, 0.067408)],
)
def test_floor_of_the_test_images(digits, floor, expected):
    assert floor(digits.test.images) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("floor", [floors.all_black, floors.constant, floors.mean_image])
def test_floor_of_many_pixels_loses_no_digits(floor):
    # Sums in float32 would lose them, and a variance by E[x²] − E[x]² would cancel.
    images = np.full((2**12, 32, 32, 1), 0.1, np.float32)
    images[::2] += np.float32(0.01)
    low, high = float(images[1, 0, 0, 0]), float(images[0, 0, 0, 0])
    expected = (low**2 + high**2) / 2 if floor is floors.all_black else ((high - low) / 2) ** 2
    assert floor(images) == pytest.approx(expected, rel=1e-7)


@given(pictures)
def test_black_attains_its_floor(images):
    assert floors.all_black(images) == pytest.approx(error(0.0, images), abs=1e-9)


@given(pictures, greys)
def test_no_grey_beats_its_floor(images, grey):
    assert error(grey, images) >= floors.constant(images) - 1e-9


@given(pictures)
def test_the_mean_grey_attains_its_floor(images):
    grey = sum(float(x) for x in images.flat) / images.size
    assert floors.constant(images) == pytest.approx(error(grey, images), abs=1e-9)


@given(pictures, st.data())
def test_no_picture_beats_its_floor(images, data):
    picture = data.draw(arrays(np.float64, images.shape[1:], elements=greys))
    assert error(picture, images) >= floors.mean_image(images) - 1e-9


@given(pictures)
def test_the_mean_picture_attains_its_floor(images):
    picture = sum(image.astype(float) for image in images) / len(images)
    assert floors.mean_image(images) == pytest.approx(error(picture, images), abs=1e-9)


@given(pictures)
def test_more_freedom_has_a_lower_floor(images):
    black, grey, picture = (
        floor(images) for floor in (floors.all_black, floors.constant, floors.mean_image)
    )
    assert black >= grey - 1e-12
    assert grey >= picture - 1e-12


@pytest.mark.parametrize("floor", [floors.all_black, floors.constant, floors.mean_image])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28, 1)), "shape"),
        (np.zeros((0, 28, 28, 1)), "empty"),
        (np.zeros((1, 2, 2, 1), np.uint8), "uint8"),
        (np.full((1, 2, 2, 1), 1.5), r"\[0, 1\]"),
        (np.full((1, 2, 2, 1), np.nan), "NaN"),
    ],
)
def test_floor_of_no_images(floor, images, message):
    with pytest.raises(ValueError, match=message):
        floor(images)


@pytest.mark.parametrize("floor", [floors.all_black, floors.constant, floors.mean_image])
def test_floor_is_a_python_float(floor):
    assert type(floor(SMALL)) is float


# What the unpooling layers leave

# Two blocks of 2 × 2; squares: 0, 0.25, 1, 0.25 and 0.0625, 0.25, 0, 1.
BLOCKS = np.array([[0.0, 0.5, 0.25, 0.5], [1.0, 0.5, 0.0, 1.0]]).reshape(1, 2, 4, 1)
# Three columns, of which a block of two covers the last alone.
OVERHANG = np.array([[0.5, 1.0, 0.75], [0.0, 0.5, 0.25]]).reshape(1, 2, 3, 1)

unpooling_floors = pytest.mark.parametrize(
    "floor", [floors.zero_fill, floors.nearest, floors.argmax]
)


@pytest.mark.parametrize(
    ("floor", "images", "pool_size", "expected"),
    [
        (floors.zero_fill, BLOCKS, 2, (0.25 + 1 + 0.25 + 0.25 + 0 + 1) / 8),
        (floors.zero_fill, BLOCKS, (1, 2), (0.25 + 0.25 + 0.25 + 1) / 8),
        (floors.zero_fill, BLOCKS, (2, 1), (1 + 0.25 + 0 + 1) / 8),
        (floors.zero_fill, OVERHANG, 2, (1 + 0 + 0.25 + 0.0625) / 6),
        # Means 0.5 and 0.4375; in the second block 0.1875, 0.0625, 0.4375 and 0.5625 off.
        (floors.nearest, BLOCKS, 2, (0.25 + 0.25 + (9 + 1 + 49 + 81) / 256) / 8),
        (floors.nearest, BLOCKS, (1, 2), 2 * (0.25**2 + 0.125**2 + 0.25**2 + 0.5**2) / 8),
        (floors.nearest, BLOCKS, (2, 1), 2 * (0.5**2 + 0 + 0.125**2 + 0.25**2) / 8),
        # Means 0.5 of four pixels and 0.5 of the two that are there.
        (floors.nearest, OVERHANG, 2, (0.25 + 0.25 + 2 * 0.0625) / 6),
        (floors.argmax, BLOCKS, 2, (0.25 + 0.25 + 0.0625 + 0.25) / 8),
        (floors.argmax, BLOCKS, (1, 2), (0 + 0.25 + 0.0625 + 0) / 8),
        (floors.argmax, BLOCKS, (2, 1), (0 + 0.25 + 0 + 0.25) / 8),
        (floors.argmax, OVERHANG, 2, (0.25 + 0 + 0.25 + 0.0625) / 6),
    ],
)
def test_unpooling_floor_by_hand(floor, images, pool_size, expected):
    assert floor(images, pool_size) == pytest.approx(expected, rel=1e-12)


def block_pixels(images, pool_size, *, centred):
    """Yield the pixels of each block of each channel, the top left first.

    Blocks overhang at the right and the bottom, or, centred, on both sides as SAME padding has it.
    """
    rows, columns = pool_size
    count, height, width, channels = images.shape
    first_row = -(-height % rows // 2) if centred else 0
    first_column = -(-width % columns // 2) if centred else 0
    for n in range(count):
        for c in range(channels):
            for top in range(first_row, height, rows):
                for left in range(first_column, width, columns):
                    yield [
                        float(images[n, y, x, c])
                        for y in range(max(top, 0), min(top + rows, height))
                        for x in range(max(left, 0), min(left + columns, width))
                    ]


def loss_of_a_block(floor, pixels):
    if floor is floors.zero_fill:
        return sum(x**2 for x in pixels[1:])
    if floor is floors.nearest:
        mean = sum(pixels) / len(pixels)
        return sum((x - mean) ** 2 for x in pixels)
    return sum(x**2 for x in sorted(pixels)[:-1])


@unpooling_floors
@pytest.mark.parametrize("pool_size", [1, 2, 3, (1, 2), (3, 2), (4, 5), 9])
@pytest.mark.parametrize("shape", [(2, 6, 6, 1), (3, 4, 8, 2), (1, 5, 7, 3), (2, 1, 3, 4)])
def test_unpooling_floor_equals_a_plain_loop(floor, pool_size, shape):
    images = np.random.default_rng(sum(shape)).random(shape).astype(np.float32)
    size = pool_size if isinstance(pool_size, tuple) else (pool_size, pool_size)
    blocks = block_pixels(images, size, centred=floor is floors.argmax)
    losses = [loss_of_a_block(floor, pixels) for pixels in blocks]
    assert floor(images, pool_size) == pytest.approx(
        sum(losses) / images.size, rel=1e-10, abs=1e-15
    )


@pytest.mark.parametrize(
    ("floor", "expected"),
    [(floors.zero_fill, 0.085502), (floors.nearest, 0.016359), (floors.argmax, 0.069471)],
)
def test_unpooling_floor_of_the_test_images(digits, floor, expected):
    assert floor(digits.test.images) == pytest.approx(expected, abs=1e-6)
    assert floor(digits.test.images, (2, 2)) == floor(digits.test.images)


@unpooling_floors
def test_unpooling_floor_of_many_pixels_loses_no_digits(floor):
    images = np.full((2**12, 32, 32, 1), 0.1, np.float32)
    images[:, :, ::2] += np.float32(0.01)
    low, high = float(images[0, 0, 1, 0]), float(images[0, 0, 0, 0])
    expected = {
        floors.zero_fill: (high**2 + 2 * low**2) / 4,
        floors.nearest: ((high - low) / 2) ** 2,
        floors.argmax: (high**2 + 2 * low**2) / 4,
    }[floor]
    assert floor(images) == pytest.approx(expected, rel=1e-7)


quick = settings(max_examples=40)
values = st.floats(-1, 2, width=32)
pool_sizes = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def unpoolings(draw):
    """Draw a pool size, images that it divides, and values for their blocks."""
    rows, columns = draw(pool_sizes)
    n, height, width, channels = shape = draw(array_shapes(min_dims=4, max_dims=4, max_side=3))
    pixels = st.floats(0, 1, width=32)
    size = (n, height * rows, width * columns, channels)
    images = draw(arrays(np.float32, size, elements=pixels))
    return (rows, columns), images, draw(arrays(np.float32, shape, elements=values))


def indices_in_blocks(offsets_y, offsets_x, pool_size):
    """Return the TensorFlow indices of a place in each block, relative to its top left."""
    rows, columns = pool_size
    width, channels = offsets_y.shape[2:]
    argmax = np.zeros(offsets_y.shape, np.int32)
    for n, i, j, c in np.ndindex(argmax.shape):
        y, x = i * rows + offsets_y[n, i, j, c], j * columns + offsets_x[n, i, j, c]
        argmax[n, i, j, c] = (y * width * columns + x) * channels + c
    return argmax


@quick
@given(unpoolings())
def test_no_zero_filled_picture_beats_its_floor(drawn):
    pool_size, images, pooled = drawn
    picture = ZeroFillUnpooling2D(pool_size)(pooled).numpy()
    assert error(picture, images) >= floors.zero_fill(images, pool_size) - 1e-9


@quick
@given(unpoolings())
def test_the_corners_attain_their_floor(drawn):
    (rows, columns), images, _ = drawn
    picture = ZeroFillUnpooling2D((rows, columns))(images[:, ::rows, ::columns]).numpy()
    floor = floors.zero_fill(images, (rows, columns))
    assert floor == pytest.approx(error(picture, images), abs=1e-9)


@quick
@given(unpoolings())
def test_no_picture_of_blocks_beats_its_floor(drawn):
    pool_size, images, pooled = drawn
    picture = keras.layers.UpSampling2D(pool_size)(pooled).numpy()
    assert error(picture, images) >= floors.nearest(images, pool_size) - 1e-9


@quick
@given(unpoolings())
def test_the_mean_of_each_block_attains_their_floor(drawn):
    pool_size, images, _ = drawn
    means = keras.layers.AveragePooling2D(pool_size)(images)
    picture = keras.layers.UpSampling2D(pool_size)(means).numpy()
    assert floors.nearest(images, pool_size) == pytest.approx(error(picture, images), abs=1e-6)


@quick
@given(unpoolings(), st.integers(0, 2**32 - 1))
def test_no_value_a_block_beats_its_floor_wherever_it_is(drawn, seed):
    (rows, columns), images, pooled = drawn
    rng = np.random.default_rng(seed)
    offsets = (rng.integers(0, side, pooled.shape) for side in (rows, columns))
    argmax = indices_in_blocks(*offsets, (rows, columns))
    floor = floors.argmax(images, (rows, columns))
    unpool = MaxUnpooling2D((rows, columns))
    assert error(unpool([pooled, argmax]).numpy(), images) >= floor - 1e-9
    # Also with the best value for each place: the pixel there.
    best = np.take_along_axis(
        images.reshape(len(images), -1), argmax.reshape(len(images), -1), axis=1
    ).reshape(pooled.shape)
    assert error(unpool([best, argmax]).numpy(), images) >= floor - 1e-9


@quick
@given(unpoolings())
def test_the_brightest_pixels_attain_their_floor(drawn):
    pool_size, images, _ = drawn
    pooled, argmax = MaxPoolingWithArgmax2D(pool_size)(images)
    picture = MaxUnpooling2D(pool_size)([pooled, argmax]).numpy()
    assert floors.argmax(images, pool_size) == pytest.approx(error(picture, images), abs=1e-9)


@pytest.mark.parametrize(
    ("size", "pool_size"),
    [
        ((7, 7), 2),
        ((5, 8), 3),
        ((3, 8), (2, 4)),
        ((7, 7), 3),
        ((4, 6), 3),
        ((4, 6), (2, 4)),
    ],
)
def test_argmax_floor_is_that_of_the_layers_where_windows_overhang(size, pool_size):
    images = np.random.default_rng(1).random((3, *size, 2)).astype(np.float32)
    pooled, argmax = MaxPoolingWithArgmax2D(pool_size)(images)
    picture = MaxUnpooling2D(pool_size, size)([pooled, argmax]).numpy()
    assert floors.argmax(images, pool_size) == pytest.approx(error(picture, images), abs=1e-9)


@given(pictures, pool_sizes)
def test_unpooling_floors_are_in_order(images, pool_size):
    corners, blocks, brightest = (
        floor(images, pool_size) for floor in (floors.zero_fill, floors.nearest, floors.argmax)
    )
    assert floors.all_black(images) >= corners - 1e-12
    assert corners >= brightest - 1e-12  # a free place is at least as good as the corner
    # A constant picture is constant in blocks, too.
    assert floors.constant(images) >= blocks - 1e-12


def test_floor_of_one_lit_pixel_a_block_is_exactly_zero():
    images = np.zeros((50, 4, 4, 1))
    images[:, ::2, ::2] = np.random.default_rng(4).random((50, 2, 2, 1))
    assert floors.zero_fill(images) == floors.argmax(images) == 0
    images[0, 1, 1] = 1e-6  # a small rest is no difference of two large sums
    expected = float(np.float32(1e-6)) ** 2 / images.size
    assert floors.zero_fill(images) == pytest.approx(expected, rel=1e-6)
    assert floors.argmax(images) == pytest.approx(expected, rel=1e-6)


@given(pictures)
def test_blocks_of_one_pixel_have_no_floor(images):
    for floor in (floors.zero_fill, floors.nearest, floors.argmax):
        assert floor(images, 1) == 0


# Cross-entropy


def cross_entropy_of_logit(x, logit):
    """Return −x ln p − (1 − x) ln(1 − p) at p = sigmoid(logit), without rounding p."""
    return max(logit, 0) - x * logit + math.log1p(math.exp(-abs(logit)))


def logistic(z):
    return 1 / (1 + math.exp(-z))


def mean_cross_entropy(images, logits):
    pairs = zip(images.flat, np.broadcast_to(logits, images.shape).flat, strict=True)
    return sum(cross_entropy_of_logit(float(x), float(z)) for x, z in pairs) / images.size


def grey(*pixels):
    return np.array(pixels, float).reshape(1, 1, -1, 1)


LN_2 = math.log(2)
# The entropy of ¼, and its cross-entropy with the probabilities ½ and sigmoid(1).
QUARTER = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
ONE = logistic(1)


@pytest.mark.parametrize(
    ("floor", "pixels", "expected"),
    [
        (floors.cross_entropy, [0, 1], 0),
        (floors.cross_entropy, [0.5], LN_2),
        (floors.cross_entropy, [0.25, 0.75, 0, 1], QUARTER / 2),
        (floors.cross_entropy_relu_logits, [0, 0.25, 0.5], LN_2),
        (floors.cross_entropy_relu_logits, [1], 0),
        (floors.cross_entropy_relu_logits, [0.75, 0], (QUARTER + LN_2) / 2),
        (floors.cross_entropy_double_sigmoid, [0, 0.25, 0.5], LN_2),
        (floors.cross_entropy_double_sigmoid, [1], -math.log(ONE)),
        (floors.cross_entropy_double_sigmoid, [0.875], -math.log(ONE) + 0.125),  # = softplus(1) − x
        (floors.cross_entropy_double_sigmoid, [0.6], -0.6 * math.log(0.6) - 0.4 * math.log(0.4)),
    ],
)
def test_cross_entropy_by_hand(floor, pixels, expected):
    assert floor(grey(*pixels)) == pytest.approx(expected, abs=1e-7)  # float32 pixels


def test_cross_entropy_between_limits_by_hand():
    # 0.125 moves to 0.25, 0.5 stays, 1 moves to 0.75.
    losses = [-0.125 * math.log(0.25) - 0.875 * math.log(0.75), LN_2, -math.log(0.75)]
    images = grey(0.125, 0.5, 1)
    assert floors.cross_entropy(images, 0.25, 0.75) == pytest.approx(sum(losses) / 3, rel=1e-12)
    assert floors.cross_entropy(images, lowest=0.5, highest=0.5) == pytest.approx(LN_2, rel=1e-12)


@pytest.mark.parametrize(("pixel", "limit"), [(0.5, 1), (0, 1), (0.5, 0), (1, 0), (1 / 255, 0)])
def test_certainty_about_another_pixel_costs_infinitely_much(pixel, limit):
    assert floors.cross_entropy(grey(pixel, limit), limit, limit) == math.inf


@pytest.mark.parametrize("limit", [0, 1])
def test_certainty_costs_nothing_where_it_is_right(limit):
    assert floors.cross_entropy(grey(limit), limit, limit) == 0


@pytest.mark.parametrize(
    ("floor", "lowest", "highest"),
    [
        (floors.cross_entropy, -40, 40),
        (floors.cross_entropy_relu_logits, 0, 40),
        (floors.cross_entropy_double_sigmoid, 0, 1),
    ],
)
def test_cross_entropy_of_the_test_images_by_search(digits, floor, lowest, highest):
    # For each of the 256 greys the best of many logits; steps of 1 / 1000 lose less than 1e-7.
    images = digits.test.images
    counts = np.bincount(np.rint(images * 255).astype(int).ravel(), minlength=256)
    logits = np.linspace(lowest, highest, 1000 * (highest - lowest) + 1)
    softplus = np.logaddexp(0, logits)
    best = [np.min(softplus - level / 255 * logits) for level in range(256)]
    assert floor(images) == pytest.approx(np.dot(best, counts) / images.size, abs=2e-7)


logits = st.floats(-30, 30)


@given(pictures, st.data())
def test_no_probability_beats_the_entropy_of_the_pixels(images, data):
    z = data.draw(arrays(np.float64, images.shape, elements=logits))
    assert mean_cross_entropy(images, z) >= floors.cross_entropy(images) - 1e-12


@given(pictures, st.data())
def test_no_relu_as_logits_beats_its_floor(images, data):
    z = data.draw(arrays(np.float64, images.shape, elements=logits))
    loss = mean_cross_entropy(images, np.maximum(z, 0))
    assert loss >= floors.cross_entropy_relu_logits(images) - 1e-12
    assert loss >= floors.cross_entropy(images, 0.5, 1) - 1e-12


@given(pictures, st.data())
def test_no_sigmoid_of_a_sigmoid_beats_its_floor(images, data):
    z = data.draw(arrays(np.float64, images.shape, elements=logits))
    loss = mean_cross_entropy(images, 1 / (1 + np.exp(-z)))
    assert loss >= floors.cross_entropy_double_sigmoid(images) - 1e-12


def nearest_logit(x, lowest, highest):
    """Return the logit of `x`, kept between two limits."""
    if x in (0, 1):
        return highest if x else lowest
    return min(max(math.log(x / (1 - x)), lowest), highest)


@pytest.mark.parametrize(
    ("floor", "lowest", "highest"),
    [
        (floors.cross_entropy, -60, 60),
        (floors.cross_entropy_relu_logits, 0, 60),
        # What a sigmoid gives at −60 and at 30: it never gets to 0 and 1.
        (floors.cross_entropy_double_sigmoid, logistic(-60), logistic(30)),
    ],
)
@given(images=pictures)
def test_the_nearest_logits_come_arbitrarily_near_their_floor(floor, lowest, highest, images):
    best = [nearest_logit(float(x), lowest, highest) for x in images.flat]
    loss = mean_cross_entropy(images, np.reshape(best, images.shape))
    assert floor(images) == pytest.approx(loss, rel=1e-9, abs=1e-9)


def test_cross_entropy_is_tensorflows(digits):
    images = digits.test.images[:200]
    bright = np.where(images > 0.5, images, 0.5)
    # Of probabilities 1 the logit is infinite; 40 is as good.
    with np.errstate(divide="ignore"):
        z = np.minimum(np.log(bright / (1 - bright)), 40)
    loss = tf.nn.sigmoid_cross_entropy_with_logits(images, z.astype(np.float32))
    expected = loss.numpy().mean(dtype=float)
    assert floors.cross_entropy_relu_logits(images) == pytest.approx(expected, rel=1e-5)


@given(pictures)
def test_fewer_probabilities_have_a_higher_floor(images):
    free = floors.cross_entropy(images)
    relu = floors.cross_entropy_relu_logits(images)
    double = floors.cross_entropy_double_sigmoid(images)
    assert 0 <= free <= relu + 1e-12 <= double + 2e-12


@pytest.mark.parametrize(
    "limits", [(-0.1, 1), (0, 1.1), (0.6, 0.5), (1, 0), (math.nan, 1), (0, math.nan)]
)
def test_limits_must_be_probabilities_in_order(limits):
    with pytest.raises(ValueError, match=r"limits must be in order, 0 ≤ lowest ≤ highest ≤ 1, got"):
        floors.cross_entropy(SMALL, *limits)


# Units


@pytest.mark.parametrize(("loss", "decibels"), [(1, 0), (0.1, 10), (0.01, 20), (0.5, 3.0103)])
def test_peak_signal_to_noise_ratio_by_hand(loss, decibels):
    assert floors.peak_signal_to_noise_ratio(loss) == pytest.approx(decibels, abs=1e-5)


def test_peak_signal_to_noise_ratio_is_tensorflows():
    images = np.random.default_rng(2).random((2, 1, 8, 8, 1)).astype(np.float32)
    expected = float(tf.image.psnr(*images, max_val=1.0)[0])
    result = floors.peak_signal_to_noise_ratio(error(*images))
    assert result == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 2, 5, 1), (2, 3, 4, 3)])
def test_sum_per_image_adds_up_the_pixels(shape):
    images, picture = np.random.default_rng(3).random((2, *shape))
    sums = [np.sum((one - other) ** 2) for one, other in zip(images, picture, strict=True)]
    result = floors.sum_per_image(error(picture, images), images)
    assert result == pytest.approx(np.mean(sums), rel=1e-12)


def test_sum_per_image_of_digits():
    assert floors.sum_per_image(0.25, np.zeros((60, 28, 28, 1))) == 196


# Errors


@pytest.mark.parametrize(
    "floor",
    [
        floors.zero_fill,
        floors.nearest,
        floors.argmax,
        floors.cross_entropy,
        floors.cross_entropy_relu_logits,
        floors.cross_entropy_double_sigmoid,
    ],
)
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28, 1)), "shape"),
        (np.zeros((0, 28, 28, 1)), "empty"),
        (np.zeros((1, 2, 2, 1), np.uint8), "uint8"),
        (np.full((1, 2, 2, 1), 1.5), r"\[0, 1\]"),
        (np.full((1, 2, 2, 1), np.nan), "NaN"),
    ],
)
def test_other_floors_of_no_images(floor, images, message):
    with pytest.raises(ValueError, match=message):
        floor(images)


@unpooling_floors
@pytest.mark.parametrize("pool_size", [0, -2, 1.5, "2", True, None, (2,), (2, 0), (2, 2, 2)])
def test_pool_size_must_be_positive_and_whole(floor, pool_size):
    with pytest.raises(ValueError, match=r"pool_size must be a positive whole number or a pair"):
        floor(SMALL, pool_size)


def test_other_floors_are_python_floats_and_leave_the_images_alone():
    images = BLOCKS.astype(np.float32)
    results = [
        floors.zero_fill(images),
        floors.nearest(images),
        floors.argmax(images),
        floors.cross_entropy(images),
        floors.cross_entropy_relu_logits(images),
        floors.cross_entropy_double_sigmoid(images),
        floors.peak_signal_to_noise_ratio(np.float32(0.5)),
        floors.sum_per_image(np.float32(0.5), images),
    ]
    assert {type(result) for result in results} == {float}
    np.testing.assert_array_equal(images, BLOCKS)


# --- Linear autoencoders ---


def test_linear_floor_by_hand():
    # A rectangle of four points, longer along the first axis: the second is what one number loses.
    points = np.array([[0.0, 0.25], [1.0, 0.25], [0.0, 0.75], [1.0, 0.75]]).reshape(4, 1, 2, 1)
    expected = [(0.25 + 0.0625) / 2, 0.0625 / 2, 0]
    found = [floors.linear(points, points, size) for size in range(3)]
    assert all(type(loss) is float for loss in found)
    assert found == pytest.approx(expected, abs=1e-12)
    assert floors.linear(points, points, (2, 0)).tolist() == [found[2], found[0]]


@pytest.mark.parametrize("shape", [(9, 2, 3, 1), (4, 3, 2, 2), (1, 2, 2, 1)])
def test_linear_floor_is_what_the_singular_values_leave(shape):
    images = np.random.default_rng(0).random(shape).astype(np.float32)
    flat = images.reshape(len(images), -1).astype(float)
    values = np.linalg.svd(flat - flat.mean(axis=0), compute_uv=False)
    for size in range(flat.shape[1] + 1):
        expected = np.sum(values[size:] ** 2) / images.size
        assert floors.linear(images, images, size) == pytest.approx(expected, abs=1e-12)


def test_linear_floor_of_other_images_is_the_loss_of_their_projections():
    rng = np.random.default_rng(1)
    train, images = rng.random((20, 3, 2, 1)), rng.random((7, 3, 2, 1))
    train, images = train.astype(np.float32), images.astype(np.float32)
    flat, mean = images.reshape(7, 6).astype(float), train.reshape(20, 6).mean(axis=0, dtype=float)
    axes = np.linalg.svd(train.reshape(20, 6) - mean)[2]
    for size in range(7):
        pictures = mean + (flat - mean) @ axes[:size].T @ axes[:size]
        expected = np.mean((flat - pictures) ** 2)
        assert floors.linear(train, images, size) == pytest.approx(expected, abs=1e-12)


def test_linear_floor_spans_from_the_mean_image_to_nothing(digits):
    few = digits.train.images[:50, 8:20, 8:20]
    found = [floors.linear(few, few, size) for size in (0, 1, 2, 30, 49, 144)]
    assert found[0] == pytest.approx(floors.mean_image(few), rel=1e-12)
    assert found == sorted(found, reverse=True)
    assert found[-2:] == pytest.approx([0, 0], abs=1e-12)  # 50 images span 49 directions


def test_no_linear_autoencoder_beats_its_floor():
    rng = np.random.default_rng(2)
    images = rng.random((30, 2, 4, 1)).astype(np.float32)
    flat = images.reshape(30, 8)
    floor = floors.linear(images, images, 3)
    for _ in range(50):
        code = flat @ rng.normal(size=(8, 3))
        inputs = np.column_stack([code, np.ones(30)])
        decoder = np.linalg.lstsq(inputs, flat)[0]  # the best one for this encoder
        assert np.mean((inputs @ decoder - flat) ** 2) >= floor


def test_linear_floor_of_the_test_images(digits):
    train, test = digits.train.images, digits.test.images
    assert floors.linear(train, test, [32, 256]) == pytest.approx([0.0168, 0.0014], abs=5e-5)


@pytest.mark.parametrize("size", [-1, 5, 1.0, "2", None, True, [1, 5], [[1]]])
def test_code_size_must_fit(size):
    images = np.zeros((3, 2, 2, 1))
    with pytest.raises(ValueError, match=r"code_size must be a whole number from 0 to 4.*, got "):
        floors.linear(images, images, size)


def test_linear_floor_needs_images_of_one_shape():
    with pytest.raises(ValueError, match=r"must have the shape of train_images, \(2, 2, 1\), got"):
        floors.linear(np.zeros((3, 2, 2, 1)), np.zeros((3, 4, 4, 1)), 1)
    with pytest.raises(ValueError, match="images are empty"):
        floors.linear(np.zeros((3, 2, 2, 1)), np.zeros((0, 2, 2, 1)), 1)


def test_components_are_the_eigenvectors_of_the_covariance():
    images = np.random.default_rng(0).random((50, 2, 3, 1)).astype("float32")
    mean, components = floors.principal_components(images)
    flat = images.reshape(50, 6).astype(float)
    np.testing.assert_allclose(mean.ravel(), flat.mean(axis=0))
    covariance = np.cov(flat.T, bias=True)
    np.testing.assert_allclose(components.T @ components, np.eye(6), atol=1e-12)
    variances = np.diag(components.T @ covariance @ components)
    assert (np.diff(variances) <= 1e-12).all()
    np.testing.assert_allclose(covariance @ components, components * variances, atol=1e-7)


@pytest.mark.parametrize("size", [0, 1, 4, 6])
def test_linear_floor_is_what_the_components_leave(size):
    images = np.random.default_rng(1).random((40, 2, 3, 1)).astype("float32")
    mean, components = floors.principal_components(images)
    code = (images - mean).reshape(40, 6) @ components[:, :size]
    pictures = (code @ components[:, :size].T).reshape(images.shape) + mean
    assert floors.linear(images, images, size) == pytest.approx(np.mean((pictures - images) ** 2))


def test_best_linear_map_by_hand():
    """With one pixel it is the regression line, slope covariance over variance."""
    x = np.array([0.0, 0.2, 0.4, 1.0])
    y = np.array([0.1, 0.2, 0.6, 0.9])
    slope = ((x - 0.4) * (y - 0.45)).mean() / ((x - 0.4) ** 2).mean()
    found = floors.best_linear_map(x.reshape(4, 1, 1, 1), y.reshape(4, 1, 1, 1))
    drawn = found(np.array([0.0, 0.5]).reshape(2, 1, 1, 1)).ravel()
    np.testing.assert_allclose(drawn, 0.45 + slope * (np.array([0.0, 0.5]) - 0.4))


def test_best_linear_map_is_the_least_squares_solution():
    random = np.random.default_rng(2)
    clean = random.random((60, 2, 2, 2))
    noisy = clean + random.normal(size=clean.shape) / 2
    with_ones = np.hstack([noisy.reshape(60, 8), np.ones((60, 1))])
    expected = with_ones @ np.linalg.lstsq(with_ones, clean.reshape(60, 8))[0]
    drawn = floors.best_linear_map(noisy, clean)(noisy)
    np.testing.assert_allclose(drawn.reshape(60, 8), expected, atol=1e-8)
    # On the images it comes from, it is never worse than to do nothing, or than the mean image.
    loss = np.mean((drawn - clean) ** 2)
    assert loss <= np.mean((noisy - clean) ** 2)
    assert loss <= floors.mean_image(clean)


def test_best_linear_map_of_pixels_that_never_change():
    images = np.zeros((5, 1, 2, 1))
    images[:, 0, 0, 0] = np.linspace(0, 1, 5)
    np.testing.assert_allclose(floors.best_linear_map(images, images)(images), images, atol=1e-12)


def test_best_linear_map_needs_pairs():
    with pytest.raises(ValueError, match="inputs and targets must have the same shape"):
        floors.best_linear_map(np.zeros((3, 2, 2, 1)), np.zeros((2, 2, 2, 1)))
