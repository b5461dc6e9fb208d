"""Unpooling, then a transposed convolution, is one transposed convolution of stride 2.

All numbers here are small whole ones, in float64: every sum is exact in any order, so that "equal"
means the same numbers, and the tolerance of 1e-6 only allows for another algorithm (FFT).
"""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

from cae_lessons.layers import (
    MaxPoolingWithArgmax2D,
    MaxUnpooling2D,
    ZeroFillUnpooling2D,
    argmax_mask,
    corner_mask,
    spread,
)

# Height, width, channels in, channels out.
SIZES = [(7, 7, 32, 16), (14, 14, 16, 1), (3, 5, 2, 3), (1, 1, 1, 1), (1, 4, 3, 2)]

sizes = pytest.mark.parametrize("size", SIZES)


def assert_same(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


def draw(*shape, seed=0):
    """Return whole numbers from 1 to 9: a zero could hide a wrong place."""
    return np.random.default_rng([seed, *shape]).integers(1, 10, shape).astype(float)


def values_and_kernel(size, kernel_size=5):
    height, width, channels, filters = size
    return draw(2, height, width, channels), draw(kernel_size, kernel_size, filters, channels)


def transposed_convolution(x, kernel, strides):
    """Run Keras' layer, SAME, with a given kernel."""
    layer = keras.layers.Conv2DTranspose(
        kernel.shape[2],
        kernel.shape[:2],
        strides=strides,
        padding="same",
        use_bias=False,
        dtype="float64",
    )
    layer.build(x.shape)
    layer.set_weights([kernel])
    return layer(x).numpy()


def unpool_to(x, i, j):
    """Put each value at the place (i, j) of its 2 × 2 block, zeros elsewhere."""
    unpooled = np.zeros((len(x), 2 * x.shape[1], 2 * x.shape[2], x.shape[3]))
    unpooled[:, i::2, j::2] = x
    return unpooled


def smooth(kernel):
    """Convolve a kernel with a 2 × 2 box of ones: each entry counts at four places."""
    height, width, *channels = kernel.shape
    smoothed = np.zeros((height + 1, width + 1, *channels))
    for i in range(2):
        for j in range(2):
            smoothed[i : i + height, j : j + width] += kernel
    return smoothed


def gradient(function, x, upstream):
    """Return the adjoint of a linear `function`, applied to `upstream`."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x, upstream).numpy()


@pytest.mark.parametrize("strides", [1, 2])
@sizes
def test_transposed_convolution_equals_the_loops(size, strides):
    x, kernel = values_and_kernel(size)
    expected = [reference.transposed_convolution(image, kernel, strides) for image in x]
    assert_same(transposed_convolution(x, kernel, strides), expected)


@pytest.mark.parametrize("kernel_size", [3, 5])
@sizes
def test_zero_fill_then_stride_1_is_stride_2_shifted_by_a_pixel(size, kernel_size):
    x, kernel = values_and_kernel(size, kernel_size)
    filled = ZeroFillUnpooling2D(dtype="float64")(x)
    both = transposed_convolution(filled, kernel, 1)
    one = transposed_convolution(x, kernel, 2)
    assert both.shape == one.shape
    assert_same(both[:, :-1, :-1], one[:, 1:, 1:])
    # The shift is needed: on the spot they differ.
    assert not np.allclose(both, one)


@pytest.mark.parametrize("kernel_size", [3, 5])
@sizes
def test_values_at_the_bottom_right_then_stride_1_are_stride_2(size, kernel_size):
    x, kernel = values_and_kernel(size, kernel_size)
    both = transposed_convolution(unpool_to(x, 1, 1), kernel, 1)
    assert_same(both, transposed_convolution(x, kernel, 2))


@sizes
def test_maxima_at_the_bottom_right_unpooled_then_stride_1_are_stride_2(size):
    # The argmax layers do it too, for an image whose maxima all lie there.
    x, kernel = values_and_kernel(size)
    pooled, argmax = MaxPoolingWithArgmax2D(dtype="float64")(unpool_to(x, 1, 1))
    assert_same(pooled, x)
    unpooled = MaxUnpooling2D(dtype="float64")([pooled, argmax])
    both = transposed_convolution(unpooled, kernel, 1)
    assert_same(both, transposed_convolution(x, kernel, 2))


@pytest.mark.parametrize("i", [0, 1])
@pytest.mark.parametrize("j", [0, 1])
def test_each_corner_has_its_shift(i, j):
    x, kernel = values_and_kernel((5, 6, 3, 2))
    both = transposed_convolution(unpool_to(x, i, j), kernel, 1)
    one = transposed_convolution(x, kernel, 2)
    assert_same(both[:, : 9 + i, : 11 + j], one[:, 1 - i :, 1 - j :])


@pytest.mark.parametrize("kernel_size", [3, 5])
@sizes
def test_nearest_then_stride_1_is_stride_2_with_a_smoothed_kernel(size, kernel_size):
    x, kernel = values_and_kernel(size, kernel_size)
    smoothed = smooth(kernel)
    assert smoothed.shape[:2] == (kernel_size + 1, kernel_size + 1)
    enlarged = keras.layers.UpSampling2D(dtype="float64")(x)
    both = transposed_convolution(enlarged, kernel, 1)
    assert_same(both, transposed_convolution(x, smoothed, 2))


def test_smoothing_by_hand():
    box = smooth(np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1))
    assert box[:, :, 0, 0].tolist() == [[1, 3, 2], [4, 10, 6], [3, 7, 4]]


@sizes
def test_nearest_is_the_sum_over_the_four_corners(size):
    x, kernel = values_and_kernel(size)
    corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
    enlarged = transposed_convolution(keras.layers.UpSampling2D(dtype="float64")(x), kernel, 1)
    parts = [transposed_convolution(unpool_to(x, i, j), kernel, 1) for i, j in corners]
    assert_same(enlarged, sum(parts))


def test_phases_of_stride_2_share_the_kernel_out():
    # Each of the 25 entries reaches one of the four phases; they get 4, 6, 6 and 9.
    taps = np.zeros((2, 2), int)
    for entry in range(25):
        kernel = np.eye(25)[entry].reshape(5, 5, 1, 1)
        output = transposed_convolution(np.ones((1, 6, 6, 1)), kernel, 2)[0, :, :, 0]
        reached = [[output[i::2, j::2].any() for j in range(2)] for i in range(2)]
        assert np.sum(reached) == 1
        taps += reached
    assert taps.tolist() == [[4, 6], [6, 9]]


# Spread times a mask


@pytest.mark.parametrize("pool_size", [(2, 2), (3, 3), (1, 2), (3, 2)])
@pytest.mark.parametrize("size", [(7, 7, 4), (1, 1, 1), (2, 5, 3)])
def test_every_unpooling_is_spread_times_its_mask(size, pool_size):
    rows, columns = pool_size
    height, width, _ = size
    x = draw(2, *size)
    blocks = np.kron(x, np.ones((1, rows, columns, 1)))
    np.testing.assert_array_equal(spread(x, pool_size), blocks)

    nearest = keras.layers.UpSampling2D(pool_size, dtype="float64")(x)
    np.testing.assert_array_equal(nearest, blocks)

    corner = np.zeros((rows, columns, 1))
    corner[0, 0] = 1
    corners = np.tile(corner, (height, width, 1))
    np.testing.assert_array_equal(corner_mask((height * rows, width * columns), pool_size), corners)
    zero_filled = ZeroFillUnpooling2D(pool_size, dtype="float64")(x)
    np.testing.assert_array_equal(zero_filled, blocks * corners)

    # Any place in each block: where an image of random order has its maximum.
    image = np.random.default_rng(5).permutation(blocks.size).reshape(blocks.shape).astype(float)
    pooled, argmax = MaxPoolingWithArgmax2D(pool_size, dtype="float64")(image)
    one_hot = image == np.kron(pooled, np.ones((1, rows, columns, 1)))
    assert one_hot.sum() == x.size
    np.testing.assert_array_equal(argmax_mask(argmax, pool_size), one_hot)
    unpooled = MaxUnpooling2D(pool_size, dtype="float64")([x, argmax])
    np.testing.assert_array_equal(unpooled, blocks * one_hot)


# Adjoints


@pytest.mark.parametrize("size", [(7, 7, 16), (1, 3, 2)])
def test_adjoint_of_zero_fill_is_slicing(size):
    x = draw(2, *size)
    y = draw(2, 2 * size[0], 2 * size[1], size[2], seed=1)
    layer = ZeroFillUnpooling2D(dtype="float64")
    sliced = y[:, ::2, ::2]
    assert np.sum(layer(x).numpy() * y) == np.sum(x * sliced)
    np.testing.assert_array_equal(gradient(layer, x, y), sliced)


@pytest.mark.parametrize("size", [(7, 7, 16), (1, 3, 2)])
def test_adjoint_of_nearest_is_sum_pooling(size):
    x = draw(2, *size)
    y = draw(2, 2 * size[0], 2 * size[1], size[2], seed=1)
    layer = keras.layers.UpSampling2D(dtype="float64")
    sums = y[:, ::2, ::2] + y[:, ::2, 1::2] + y[:, 1::2, ::2] + y[:, 1::2, 1::2]
    assert np.sum(layer(x).numpy() * y) == np.sum(x * sums)
    assert_same(gradient(layer, x, y), sums)
    assert_same(keras.layers.AveragePooling2D(2, dtype="float64")(y), sums / 4)


@pytest.mark.parametrize("size", [(7, 7, 16), (1, 3, 2)])
def test_adjoint_of_argmax_unpooling_is_reading_at_the_places(size):
    height, width, channels = size
    shape = (2, 2 * height, 2 * width, channels)
    image = np.random.default_rng(6).permutation(np.prod(shape)).reshape(shape).astype(float)
    _, argmax = MaxPoolingWithArgmax2D(dtype="float64")(image)
    x, y = draw(2, *size), draw(*shape, seed=1)
    places = argmax.numpy().reshape(2, -1)
    read = np.take_along_axis(y.reshape(2, -1), places, axis=1).reshape(x.shape)
    layer = MaxUnpooling2D(dtype="float64")
    assert np.sum(layer([x, argmax]).numpy() * y) == np.sum(x * read)
    np.testing.assert_array_equal(gradient(lambda x: layer([x, argmax]), x, y), read)


@pytest.mark.parametrize(
    ("size", "strides"),
    [((14, 14, 16, 32), 1), ((6, 5, 2, 2), 1), ((14, 14, 16, 32), 2), ((8, 4, 1, 3), 2)],
)
def test_adjoint_of_a_convolution_is_the_transposed_one(size, strides):
    height, width, channels, filters = size
    kernel = draw(5, 5, channels, filters)
    x = draw(2, height, width, channels)
    y = np.array([reference.convolution(image, kernel, strides) for image in x])
    other = draw(*y.shape, seed=1)
    back = transposed_convolution(other, kernel, strides)
    assert np.sum(y * other) == np.sum(x * back)
