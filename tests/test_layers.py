import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from reference import HANGING

from cae_lessons import layers
from cae_lessons.layers import (
    MaxPoolingWithArgmax2D,
    MaxUnpooling2D,
    ZeroFillUnpooling2D,
    argmax_mask,
    corner_mask,
    from_tensorflow_indices,
    pair,
    spread,
    to_tensorflow_indices,
)
from cae_lessons.pooling import reference
from cae_lessons.pooling.windows import Windows

BACKEND = keras.backend.backend()
needs_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="compares with TensorFlow")
can_compile = pytest.mark.skipif(BACKEND == "torch", reason="torch.compile needs a C++ compiler")

POOL_SIZES = [1, 2, 3, (2, 3), (3, 1), (4, 5), 7]
IMAGE_SIZES = [(6, 6), (7, 7), (8, 5), (4, 9), (1, 2)]


def images(kind, height=7, width=7, channels=3, batch=2):
    shape = (batch, height, width, channels)
    generator = np.random.default_rng(height * 100 + width)
    if kind == "tied":
        return generator.integers(-1, 1, shape).astype("float32")
    # No ties, and steps of 0.1 for the finite differences.
    order = generator.permutation(np.prod(shape)) - np.prod(shape) // 2
    return (0.1 * order.reshape(shape)).astype("float32")


def arrays(tensors):
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


def pool_by_loop(x, pool_size, strides=None, padding="same"):
    """Max pooling as a plain loop over windows."""
    batch, *image, channels = x.shape
    window, step = pair("pool_size", pool_size), pair("strides", strides or pool_size)
    if padding == "same":
        count = [-(-n // s) for n, s in zip(image, step, strict=True)]
        excess = [
            max((c - 1) * s + w - n, 0)
            for n, c, s, w in zip(image, count, step, window, strict=False)
        ]
    else:
        count, excess = (
            [(n - w) // s + 1 for n, s, w in zip(image, step, window, strict=False)],
            [0, 0],
        )
    shape = (batch, *count, channels)
    pooled, argmax = np.full(shape, np.nan, x.dtype), np.full(shape, -1)
    for n, i, j, c in np.ndindex(shape):
        rows = i * step[0] - excess[0] // 2 + np.arange(window[0])
        columns = j * step[1] - excess[1] // 2 + np.arange(window[1])
        for y, z in itertools.product(rows, columns):
            if not (0 <= y < image[0] and 0 <= z < image[1]):
                continue
            if argmax[n, i, j, c] < 0 or x[n, y, z, c] > pooled[n, i, j, c]:
                pooled[n, i, j, c] = x[n, y, z, c]
                argmax[n, i, j, c] = (y * image[1] + z) * channels + c
    return pooled, argmax


def unpool_by_loop(pooled, argmax, size):
    """Put each value where its index says, in the flattened image."""
    unpooled = np.zeros((len(pooled), *size, pooled.shape[-1]), pooled.dtype)
    for n, i, j, c in np.ndindex(pooled.shape):
        unpooled[n].reshape(-1)[argmax[n, i, j, c]] = pooled[n, i, j, c]
    return unpooled


def gradient(function, x):
    """Return the gradient of a scalar function by the backend's own means."""
    if BACKEND == "jax":
        import jax

        return np.asarray(jax.grad(function)(x))
    if BACKEND == "torch":
        import torch

        x = torch.tensor(x, requires_grad=True)
        function(x).backward()
        return x.grad.numpy()
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x).numpy()


def compiled(function, xla=True):
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=xla)


def to_numpy(tensor):
    return ops.convert_to_numpy(tensor)


def weights_like(x):
    return np.linspace(-1, 2, np.prod(x.shape)).reshape(x.shape).astype("float32")


def pool_and_unpool(x, pool_size=2, strides=None, padding="same"):
    pooled, argmax = MaxPoolingWithArgmax2D(pool_size, strides, padding)(x)
    unpool = MaxUnpooling2D(pool_size, tuple(x.shape[1:3]), strides=strides, padding=padding)
    return unpool([pooled, argmax])


# Pooling


@pytest.mark.parametrize("kind", ["distinct", "tied"])
@pytest.mark.parametrize("size", IMAGE_SIZES)
@pytest.mark.parametrize("pool_size", POOL_SIZES)
def test_pooling_equals_a_plain_loop(pool_size, size, kind):
    x = images(kind, *size)
    pooled, argmax = arrays(MaxPoolingWithArgmax2D(pool_size)(x))
    expected_pooled, expected_argmax = pool_by_loop(x, pool_size)
    np.testing.assert_array_equal(pooled, expected_pooled)
    np.testing.assert_array_equal(argmax, expected_argmax)
    assert argmax.dtype == np.int32


@needs_tensorflow
@pytest.mark.parametrize("kind", ["distinct", "tied"])
@pytest.mark.parametrize("size", IMAGE_SIZES)
@pytest.mark.parametrize("pool_size", POOL_SIZES)
def test_pooling_and_its_gradient_equal_tensorflows_own(pool_size, size, kind):
    import tensorflow as tf

    def tensorflows(x):
        return tf.nn.max_pool_with_argmax(
            x, pair("pool_size", pool_size), pair("pool_size", pool_size), "SAME"
        )

    x = images(kind, *size)
    pooled, argmax = MaxPoolingWithArgmax2D(pool_size)(x)
    expected_pooled, expected_argmax = tensorflows(x)
    np.testing.assert_array_equal(pooled, expected_pooled)
    np.testing.assert_array_equal(argmax, expected_argmax)
    weights = weights_like(pooled)
    np.testing.assert_array_equal(
        gradient(lambda x: ops.sum(MaxPoolingWithArgmax2D(pool_size)(x)[0] * weights), x),
        gradient(lambda x: ops.sum(tensorflows(x)[0] * weights), x),
    )


def test_of_ties_only_the_first_gets_the_gradient():
    x = np.zeros((1, 2, 4, 1), "float32")
    x[0, 1, 2:] = 1
    result = gradient(lambda x: ops.sum(MaxPoolingWithArgmax2D()(x)[0]), x)
    np.testing.assert_array_equal(result[0, :, :, 0], [[1, 0, 0, 0], [0, 0, 1, 0]])


def test_an_infinity_is_pooled_like_any_other_largest_value():
    x = np.zeros((1, 7, 7, 1), "float32")
    x[0, 0, 0], x[0, 3, 3] = -np.inf, np.inf
    pooled, argmax = arrays(MaxPoolingWithArgmax2D(3)(x))  # margins of 1 on each side
    expected_pooled, expected_argmax = pool_by_loop(x, 3)
    np.testing.assert_array_equal(pooled, expected_pooled)
    np.testing.assert_array_equal(argmax, expected_argmax)
    assert np.isfinite(gradient(lambda x: ops.sum(MaxPoolingWithArgmax2D(3)(x)[0]), x)).all()


def test_margins_never_win_however_low_the_image():
    x = np.full((1, 7, 7, 1), -1e38, "float32")
    pooled, argmax = arrays(MaxPoolingWithArgmax2D(3)(x))
    expected_pooled, expected_argmax = pool_by_loop(x, 3)
    np.testing.assert_array_equal(pooled, expected_pooled)
    np.testing.assert_array_equal(argmax, expected_argmax)
    unpooled = ops.convert_to_numpy(pool_and_unpool(x, 3))
    np.testing.assert_array_equal(unpooled, unpool_by_loop(pooled, argmax, (7, 7)))


def test_integer_images_become_floats():
    pooled, _ = MaxPoolingWithArgmax2D()(np.arange(16).reshape(1, 4, 4, 1))
    np.testing.assert_array_equal(
        ops.convert_to_numpy(pooled)[0, :, :, 0], np.float32([[5, 7], [13, 15]])
    )
    assert keras.backend.standardize_dtype(pooled.dtype) == "float32"


WINDOWS = [
    (2, 1, "same"),
    (3, 2, "same"),
    (3, 2, "valid"),
    (2, 2, "valid"),
    ((2, 3), (3, 1), "valid"),
    ((1, 2), 3, "same"),
    (5, 1, "same"),
]
windows = pytest.mark.parametrize(("pool_size", "strides", "padding"), WINDOWS)


@windows
@pytest.mark.parametrize("kind", ["distinct", "tied"])
def test_windows_that_overlap_or_leave_gaps_or_stay_inside(pool_size, strides, padding, kind):
    x = images(kind, 6, 7)
    pooled, argmax = arrays(MaxPoolingWithArgmax2D(pool_size, strides, padding)(x))
    expected_pooled, expected_argmax = pool_by_loop(x, pool_size, strides, padding)
    np.testing.assert_array_equal(pooled, expected_pooled)
    np.testing.assert_array_equal(argmax, expected_argmax)
    expected = unpool_by_loop(pooled, argmax, (6, 7))
    unpooled = to_numpy(pool_and_unpool(x, pool_size, strides, padding))
    np.testing.assert_array_equal(unpooled, expected)


def with_nan_and_infinity(x):
    generator = np.random.default_rng(0)
    x = x.copy()
    x[generator.random(x.shape) < 0.3] = np.nan
    x[generator.random(x.shape) < 0.4] = -np.inf
    return x


@needs_tensorflow
@windows
def test_any_windows_equal_tensorflows_own_with_nan_and_infinity_too(pool_size, strides, padding):
    import tensorflow as tf

    for x in (images("tied", 6, 7), with_nan_and_infinity(images("tied", 6, 7))):
        pooled, argmax = MaxPoolingWithArgmax2D(pool_size, strides, padding)(x)
        sizes = pair("pool_size", pool_size), pair("strides", strides)
        expected = tf.nn.max_pool_with_argmax(x, *sizes, padding.upper())
        np.testing.assert_array_equal(pooled, expected[0])
        np.testing.assert_array_equal(argmax, expected[1])

    def ours(x):
        return ops.sum(MaxPoolingWithArgmax2D(pool_size, strides, padding)(x)[0] * weights)

    def tensorflows(x):
        return ops.sum(tf.nn.max_pool_with_argmax(x, *sizes, padding.upper())[0] * weights)

    weights = weights_like(pooled)
    x = images("tied", 6, 7)
    np.testing.assert_allclose(gradient(ours, x), gradient(tensorflows, x), atol=1e-6)


@pytest.mark.parametrize(
    ("window", "value", "place"),
    [
        ([np.nan, 1, 2, 3], np.nan, 0),  # found by TensorFlow's op
        ([1, np.nan, 2, 3], 3, 3),
        ([5, 2, 3, np.nan], 5, 0),
        ([-np.inf, np.nan, -np.inf, -np.inf], -np.inf, 0),
        ([-np.inf] * 4, -np.inf, 0),
        ([np.nan] * 4, np.nan, 0),
        ([np.inf, np.inf, np.nan, np.inf], np.inf, 0),
    ],
)
def test_nan_counts_only_where_a_window_begins(window, value, place):
    x = np.float32(window).reshape(1, 2, 2, 1)
    pooled, argmax = arrays(MaxPoolingWithArgmax2D()(x))
    np.testing.assert_array_equal([pooled.item(), argmax.item()], [value, place])
    unpooled = to_numpy(pool_and_unpool(x)).ravel()
    np.testing.assert_array_equal(unpooled, np.where(np.arange(4) == place, value, 0))


# The backend's own arithmetic, against the reference


@pytest.mark.parametrize("size", [(6, 6), (7, 8), (1, 2)])
@pytest.mark.parametrize("pool_size", [(2, 2), (3, 3), (4, 3), (7, 6)])
def test_the_backends_functions_equal_the_reference(pool_size, size):
    blocks = Windows(pool_size, pool_size, "same")
    x = ops.convert_to_tensor(images("tied", *size))
    expected, found = reference.pool(x, blocks), layers.pooling.pool(x, blocks)
    for one, other in zip(arrays(found), arrays(expected), strict=True):
        np.testing.assert_array_equal(one, other)
    weights = ops.convert_to_tensor(weights_like(x))

    def loss(arithmetic):
        def both(x):
            pooled, argmax = arithmetic.pool(ops.convert_to_tensor(x), blocks)
            return ops.sum(arithmetic.unpool(pooled, argmax, blocks, size) * weights)

        return both

    x = to_numpy(x)
    assert float(loss(layers.pooling)(x)) == float(loss(reference)(x))
    expected = gradient(loss(reference), x)
    np.testing.assert_allclose(gradient(loss(layers.pooling), x), expected, rtol=1e-6)


# Unpooling


@pytest.mark.parametrize("kind", ["distinct", "tied"])
@pytest.mark.parametrize("size", IMAGE_SIZES)
@pytest.mark.parametrize("pool_size", POOL_SIZES)
def test_unpooling_equals_a_plain_loop(pool_size, size, kind):
    x = images(kind, *size)
    expected = unpool_by_loop(*pool_by_loop(x, pool_size), size)
    np.testing.assert_array_equal(ops.convert_to_numpy(pool_and_unpool(x, pool_size)), expected)


def test_unpooling_by_default_fills_whole_blocks():
    pooled, argmax = MaxPoolingWithArgmax2D((2, 3))(images("distinct", 4, 6))
    assert MaxUnpooling2D((2, 3))([pooled, argmax]).shape == (2, 4, 6, 3)


def test_pytorchs_published_examples():
    # Of torch.nn.MaxUnpool2d: 4 × 4, then 4 × 5, whose last column no window covers.
    square = np.arange(1, 17, dtype="float32").reshape(1, 4, 4, 1)
    pooled, argmax = MaxPoolingWithArgmax2D()(square)
    indices = from_tensorflow_indices(ops.convert_to_numpy(argmax), "pytorch", (4, 4))
    assert indices.tolist() == [[[[5, 7], [13, 15]]]]
    np.testing.assert_array_equal(
        ops.convert_to_numpy(MaxUnpooling2D()([pooled, argmax]))[0, :, :, 0],
        [[0, 0, 0, 0], [0, 6, 0, 8], [0, 0, 0, 0], [0, 14, 0, 16]],
    )

    pooled = np.float32([[[[7, 9], [17, 19]]]]).transpose(0, 2, 3, 1)
    argmax = to_tensorflow_indices([[[[6, 8], [16, 18]]]], "pytorch", (4, 5))
    np.testing.assert_array_equal(
        ops.convert_to_numpy(MaxUnpooling2D(output_size=(4, 5))([pooled, argmax]))[0, :, :, 0],
        [[0, 0, 0, 0, 0], [0, 7, 0, 9, 0], [0, 0, 0, 0, 0], [0, 17, 0, 19, 0]],
    )


@pytest.mark.parametrize("pool_size", [2, (2, 3)])
def test_all_three_unpoolings_are_spread_times_a_mask(pool_size):
    x = images("distinct", 4, 6)
    rows, columns = pair("pool_size", pool_size)
    pooled, argmax = MaxPoolingWithArgmax2D(pool_size)(x)
    blocks = ops.convert_to_numpy(spread(pooled, pool_size))
    nearest = keras.layers.UpSampling2D(pair("pool_size", pool_size), interpolation="nearest")(
        pooled
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(nearest), blocks)
    zero_fill = ZeroFillUnpooling2D(pool_size)(pooled)
    corner = np.kron(
        np.ones((4 // rows, 6 // columns)), np.eye(1, rows * columns).reshape(rows, -1)
    )
    np.testing.assert_array_equal(corner_mask((4, 6), pool_size)[:, :, 0], corner)
    np.testing.assert_array_equal(ops.convert_to_numpy(zero_fill), blocks * corner[..., np.newaxis])
    one_hot = ops.convert_to_numpy(argmax_mask(argmax, pool_size))
    assert (one_hot.reshape(2, 4 // rows, rows, 6 // columns, columns, 3).sum((2, 4)) == 1).all()
    np.testing.assert_array_equal(one_hot, blocks == x)
    argmax_unpooled = MaxUnpooling2D(pool_size)([pooled, argmax])
    np.testing.assert_array_equal(ops.convert_to_numpy(argmax_unpooled), blocks * one_hot)


def test_zero_fill_keeps_infinity_from_spreading():
    x = np.full((1, 1, 1, 1), np.inf, "float32")
    result = ops.convert_to_numpy(ZeroFillUnpooling2D()(x))[0, :, :, 0]
    np.testing.assert_array_equal(result, [[np.inf, 0], [0, 0]])


def test_a_value_that_several_windows_chose_is_put_there_once():
    x = np.zeros((1, 5, 5, 1), "float32")
    x[0, 2, 2] = 9
    _pooled, argmax = MaxPoolingWithArgmax2D(3, 2, "valid")(x)
    assert to_numpy(argmax).ravel().tolist() == [12] * 4
    np.testing.assert_array_equal(to_numpy(pool_and_unpool(x, 3, 2, "valid")), x)
    total = gradient(lambda x: ops.sum(pool_and_unpool(x, 3, 2, "valid")), x)
    np.testing.assert_array_equal(total, x / 9)


@pytest.mark.skipif(BACKEND != "torch", reason="compares with PyTorch")
@pytest.mark.parametrize(("pool_size", "strides"), [(2, 2), (3, 2), (3, 3), (3, 1), ((2, 3), 3)])
def test_any_windows_equal_pytorchs_own(pool_size, strides):
    import torch

    x = images("tied", 8, 9)
    planes = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    pool = torch.nn.functional.max_pool2d
    expected, places = pool(planes, pool_size, strides, return_indices=True)
    pooled, argmax = arrays(MaxPoolingWithArgmax2D(pool_size, strides, "valid")(x))
    np.testing.assert_array_equal(np.moveaxis(pooled, -1, 1), expected)
    np.testing.assert_array_equal(from_tensorflow_indices(argmax, "pytorch", (8, 9)), places)
    unpool = torch.nn.functional.max_unpool2d
    expected = unpool(expected, places, pool_size, strides, output_size=(8, 9))
    unpooled = to_numpy(pool_and_unpool(x, pool_size, strides, "valid"))
    np.testing.assert_array_equal(np.moveaxis(unpooled, -1, 1), expected)


SIXTEEN = [1, 2, 4, 3, 8, 6, 7, 5, 9, 10, 12, 11, 13, 16, 15, 14]


@pytest.mark.parametrize(
    ("values", "size", "pool_size", "strides", "padding", "kept"),
    [
        (range(1, 9), (2, 4), 2, 2, "same", {5: 6, 7: 8}),
        (SIXTEEN, (4, 4), 2, 2, "same", {4: 8, 6: 7, 13: 16, 14: 15}),
        (SIXTEEN, (4, 4), 2, 2, "valid", {4: 8, 6: 7, 13: 16, 14: 15}),
        (SIXTEEN, (4, 4), 2, 4, "same", {4: 8}),
        ([*SIXTEEN, 20, 18, 17, 19], (4, 5), (2, 3), 2, "valid", {6: 7, 9: 10, 16: 20, 19: 19}),
    ],
)
def test_cases_of_tensorflow_addons(values, size, pool_size, strides, padding, kept):
    image = np.float32(list(values)).reshape(1, *size, 1)
    pooled, argmax = MaxPoolingWithArgmax2D(pool_size, strides, padding)(image)
    unpool = MaxUnpooling2D(pool_size, size, strides=strides, padding=padding)
    expected = np.zeros(image.size)
    expected[list(kept)] = list(kept.values())
    unpooled = ops.convert_to_numpy(unpool([pooled, argmax]))
    np.testing.assert_array_equal(unpooled.ravel(), expected)


def test_onnx_published_cases():
    # Of its operators MaxUnpool and MaxPool: without and with an output shape, with indices that
    # count along columns, and with windows that overlap.
    for values, size in (([1, 2, 3, 4], 4), ([5, 6, 7, 8], 5)):
        pooled = np.float32(values).reshape(1, 2, 2, 1)
        argmax = to_tensorflow_indices([[[[5, 7], [13, 15]]]], "onnx", (4, 4))
        result = to_numpy(MaxUnpooling2D()([pooled, argmax]))[0, :, :, 0]
        expected = np.zeros((size, size))
        expected[1, 1], expected[1, 3], expected[3, 1], expected[3, 3] = values
        np.testing.assert_array_equal(np.pad(result, (0, size - 4)), expected)

    x = np.arange(1, 26, dtype="float32").reshape(1, 5, 5, 1)
    pooled, argmax = arrays(MaxPoolingWithArgmax2D(2, padding="valid")(x))
    assert pooled[0, :, :, 0].tolist() == [[7, 9], [17, 19]]
    indices = from_tensorflow_indices(argmax, "onnx-column-major", (5, 5))
    assert indices.tolist() == [[[[6, 16], [8, 18]]]]
    np.testing.assert_array_equal(
        to_tensorflow_indices(indices, "onnx-column-major", (5, 5)), argmax
    )

    pooled, argmax = arrays(MaxPoolingWithArgmax2D(5, 1)(x))
    rows = [[12, 13, 14, 14, 14], [17, 18, 19, 19, 19], *[[22, 23, 24, 24, 24]] * 3]
    np.testing.assert_array_equal(argmax[0, :, :, 0], rows)
    np.testing.assert_array_equal(pooled[0, :, :, 0], np.add(rows, 1))


@pytest.mark.parametrize(("size", "padding"), [((7, 9), "same"), ((8, 10), None), ((7, 9), None)])
def test_the_default_output_size_and_padding(size, padding):
    x = images("distinct", *size)
    pooled, argmax = MaxPoolingWithArgmax2D(3, 2)(x)
    unpool = MaxUnpooling2D(3, size, strides=2, padding=padding)
    expected = unpool_by_loop(*arrays((pooled, argmax)), size)
    np.testing.assert_array_equal(to_numpy(unpool([pooled, argmax])), expected)
    assert MaxUnpooling2D(3, strides=2).compute_output_shape([pooled.shape] * 2)[1:3] == (8, 10)
    valid = MaxUnpooling2D(3, strides=2, padding="valid")
    assert valid.compute_output_shape([pooled.shape] * 2)[1:3] == (9, 11)


# Gradients


@pytest.mark.parametrize("pool_size", [2, 3])
@pytest.mark.parametrize("layer", ["pool", "unpool", "pool and unpool", "zero-fill"])
def test_gradients_equal_finite_differences(layer, pool_size):
    x = images("distinct", 5, 5, channels=2, batch=1)
    pooled, argmax = arrays(MaxPoolingWithArgmax2D(pool_size)(x))
    apply, at = {
        "pool": (lambda x: MaxPoolingWithArgmax2D(pool_size)(x)[0], x),
        "unpool": (lambda v: MaxUnpooling2D(pool_size, 5)([v, argmax]), pooled),
        "pool and unpool": (lambda x: pool_and_unpool(x, pool_size), x),
        "zero-fill": (lambda v: ZeroFillUnpooling2D(pool_size)(v), pooled),
    }[layer]

    def loss(x):
        y = apply(x)
        return ops.sum(y * y * ops.convert_to_tensor(weights_like(y)))

    step = 0.03  # Smaller than half the distance of two values: no maximum changes its place.
    differences = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        moved = np.zeros_like(at)
        moved[place] = step
        differences[place] = (float(loss(at + moved)) - float(loss(at - moved))) / (2 * step)
    np.testing.assert_allclose(gradient(loss, at), differences, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("strides", [1, 2, 4])
def test_gradients_of_other_windows_equal_finite_differences(strides):
    x = images("distinct", 5, 5, channels=2, batch=1)

    def loss(x):
        y = pool_and_unpool(x, 3, strides)
        return ops.sum(y * y * ops.convert_to_tensor(weights_like(y)))

    differences = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        moved = np.zeros_like(x)
        moved[place] = 0.03
        differences[place] = (float(loss(x + moved)) - float(loss(x - moved))) / 0.06
    np.testing.assert_allclose(gradient(loss, x), differences, rtol=1e-2, atol=1e-2)


# Modes, dtypes, models


def unknown_size(pool_size=2, strides=None, padding="same"):
    image = keras.Input((None, None, 1))
    pooled, argmax = MaxPoolingWithArgmax2D(pool_size, strides, padding)(image)
    unpool = MaxUnpooling2D(pool_size, strides=strides, padding=padding)
    return keras.Model(image, [unpool([pooled, argmax]), ZeroFillUnpooling2D(pool_size)(pooled)])


@pytest.mark.parametrize(("pool_size", "strides"), [(2, None), ((3, 2), None), (3, 2)])
def test_images_of_unknown_size(pool_size, strides):
    model = unknown_size(pool_size, strides)
    assert [output.shape for output in model.outputs] == [(None, None, None, 1)] * 2
    for size in ((6, 6), (12, 18)):
        x = images("tied", *size, channels=1)
        pooled, argmax = pool_by_loop(x, pool_size, strides)
        expected = unpool_by_loop(pooled, argmax, size)
        np.testing.assert_array_equal(to_numpy(model(x)[0]), expected)
        np.testing.assert_array_equal(model.predict(x, verbose=0)[0], expected)


@needs_tensorflow
@windows
def test_a_compiled_function_of_images_of_any_size(pool_size, strides, padding):
    import tensorflow as tf

    pool = MaxPoolingWithArgmax2D(pool_size, strides, padding)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def both_ways(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            pooled, argmax = pool(x)
            y = ops.sum(pooled * pooled)
        return pooled, argmax, tape.gradient(y, x), ZeroFillUnpooling2D(pool_size)(pooled)

    for size in ((6, 7), (9, 5)):
        x = images("tied", *size)
        pooled, argmax, slope, _ = arrays(both_ways(x))
        expected = pool_by_loop(x, pool_size, strides, padding)
        np.testing.assert_array_equal(pooled, expected[0])
        np.testing.assert_array_equal(argmax, expected[1])
        np.testing.assert_allclose(slope, gradient(lambda x: ops.sum(pool(x)[0] ** 2), x))


@can_compile
@windows
def test_compiled_windows_of_any_kind(pool_size, strides, padding):
    x = images("tied", 7, 8)
    function = compiled(lambda x: pool_and_unpool(x, pool_size, strides, padding))
    np.testing.assert_array_equal(
        to_numpy(function(x)), to_numpy(pool_and_unpool(x, pool_size, strides, padding))
    )


@pytest.mark.parametrize("strides", [None, 1])
def test_channels_first_says_the_same_in_another_layout(strides):
    x = images("tied", 5, 7)
    planes = np.moveaxis(x, -1, 1)
    first = {"strides": strides, "data_format": "channels_first"}
    pooled, argmax = MaxPoolingWithArgmax2D(3, strides)(x)
    found = MaxPoolingWithArgmax2D(3, **first)(planes)
    for one, other in zip(arrays(found), arrays((pooled, argmax)), strict=True):
        np.testing.assert_array_equal(np.moveaxis(one, 1, -1), other)
    unpooled = to_numpy(MaxUnpooling2D(3, (5, 7), **first)(list(found)))
    np.testing.assert_array_equal(
        np.moveaxis(unpooled, 1, -1), to_numpy(pool_and_unpool(x, 3, strides))
    )
    filled = to_numpy(ZeroFillUnpooling2D(2, data_format="channels_first")(planes))
    np.testing.assert_array_equal(np.moveaxis(filled, 1, -1), to_numpy(ZeroFillUnpooling2D(2)(x)))


def test_the_layout_is_the_users_when_the_layer_is_made():
    keras.config.set_image_data_format("channels_first")
    try:
        made = [MaxPoolingWithArgmax2D(), MaxUnpooling2D(), ZeroFillUnpooling2D()]
    finally:
        keras.config.set_image_data_format("channels_last")
    assert [layer.data_format for layer in made] == ["channels_first"] * 3
    assert ZeroFillUnpooling2D().data_format == "channels_last"


@pytest.mark.parametrize(
    "layer",
    [
        keras.Sequential([keras.Input((4, 6, 3)), ZeroFillUnpooling2D()]),
        keras.Model(
            image := keras.Input((4, 6, 3)), MaxUnpooling2D()(MaxPoolingWithArgmax2D()(image))
        ),
        ZeroFillUnpooling2D(),
    ],
    ids=["model of zero-fill", "model of pooling and unpooling", "zero-fill"],
)
def test_time_distributed(layer):
    # Keras takes and gives one tensor there: so the pooling and its inverse as one model.
    films = images("tied", 4, 18).reshape(2, 3, 4, 6, 3)
    result = to_numpy(keras.layers.TimeDistributed(layer)(films))
    for time in range(3):
        np.testing.assert_array_equal(result[:, time], to_numpy(layer(films[:, time])))


LAYERS = [
    (MaxPoolingWithArgmax2D, {"pool_size": (2, 3)}),
    (MaxPoolingWithArgmax2D, {"pool_size": 3, "strides": 2, "padding": "valid"}),
    (MaxPoolingWithArgmax2D, {"data_format": "channels_first"}),
    (MaxUnpooling2D, {"pool_size": 2}),
    (MaxUnpooling2D, {"output_size": (7, 11)}),
    (MaxUnpooling2D, {"pool_size": 3, "strides": 2, "padding": "same"}),
    (ZeroFillUnpooling2D, {"pool_size": (1, 3)}),
    (ZeroFillUnpooling2D, {"data_format": "channels_first"}),
]


@pytest.mark.parametrize(("kind", "options"), LAYERS, ids=str)
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_keras_conformance(kind, options, policy, tmp_path):
    layer = kind(**options, dtype=policy)
    assert layer.built
    assert not layer.weights
    assert kind.from_config(layer.get_config()).get_config() == layer.get_config()
    x = images("distinct", 8, 12)
    inputs = list(MaxPoolingWithArgmax2D()(x)) if kind is MaxUnpooling2D else x
    if options.get("strides") == 2 and kind is MaxUnpooling2D:
        inputs = list(MaxPoolingWithArgmax2D(3, 2)(x))
    if options.get("output_size"):
        inputs = list(MaxPoolingWithArgmax2D()(images("distinct", 7, 11)))
    symbolic = keras.tree.map_structure(
        lambda x: keras.Input(x.shape[1:], dtype=keras.backend.standardize_dtype(x.dtype)), inputs
    )
    outputs = keras.tree.flatten(layer(inputs))
    specs = keras.tree.flatten(layer(symbolic))
    for found, spec in zip(outputs, specs, strict=True):
        assert tuple(found.shape[1:]) == spec.shape[1:]
        assert keras.backend.standardize_dtype(found.dtype) == spec.dtype
    shapes = layer.compute_output_shape(keras.tree.map_structure(lambda x: tuple(x.shape), inputs))
    shapes = [shapes] if isinstance(shapes[0], int) else shapes
    assert [tuple(found.shape) for found in outputs] == [tuple(shape) for shape in shapes]
    model = keras.Model(symbolic, specs)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one, other in zip(keras.tree.flatten(loaded(inputs)), outputs, strict=True):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))


@pytest.mark.skipif(BACKEND == "tensorflow", reason="that backend is TensorFlow")
def test_tensorflow_is_not_imported_where_it_is_not_the_backend():
    code = (
        "import sys, numpy\n"
        "from cae_lessons.layers import MaxPoolingWithArgmax2D, MaxUnpooling2D\n"
        "MaxUnpooling2D()(MaxPoolingWithArgmax2D()(numpy.ones((1, 4, 4, 1), 'float32')))\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=HANGING, env=os.environ)


# Models


@can_compile
@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("pool_size", [2, 3])
def test_compiled_equals_eager(pool_size, xla):
    x = images("tied", 7, 8)

    def both(x):
        _, argmax = MaxPoolingWithArgmax2D(pool_size)(x)
        return argmax, pool_and_unpool(x, pool_size), ZeroFillUnpooling2D(pool_size)(x)

    for one, other in zip(arrays(compiled(both, xla)(x)), arrays(both(x)), strict=True):
        np.testing.assert_array_equal(one, other)


@needs_tensorflow
@pytest.mark.parametrize("xla", [False, True])
def test_compiled_gradient_with_an_unknown_batch(xla):
    import tensorflow as tf

    weights = weights_like(images("tied"))

    @tf.function(input_signature=[tf.TensorSpec((None, 7, 7, 3))], jit_compile=xla)
    def compiled_gradient(x):
        return tf.gradients(tf.reduce_sum(pool_and_unpool(x, 3) * weights), x)[0]

    x = images("tied")
    np.testing.assert_array_equal(
        compiled_gradient(x), gradient(lambda x: ops.sum(pool_and_unpool(x, 3) * weights), x)
    )


@can_compile
@pytest.mark.parametrize("strides", [None, 1])
def test_compiled_drops_a_value_whose_index_is_in_another_window(strides):
    # Of a 2 × 4 image, and each outside of its value's window; 8 isn't even in the image.
    shape, wrong = ((1, 1, 2, 1), [2, 4]) if strides is None else ((1, 2, 4, 1), [3, 8])
    values, argmax = np.zeros(shape, "float32"), np.zeros(shape, "int32")
    values[0, 0, :2, 0], argmax[0, 0, :2, 0] = 1, wrong
    layer = MaxUnpooling2D(2, (2, 4), strides=strides)
    result = compiled(lambda v, a: layer([v, a]), xla=False)(values, argmax)
    assert not to_numpy(result).any()


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
def test_half_precision(policy):
    dtype = policy.removeprefix("mixed_")
    x = images("tied")
    pooled, argmax = MaxPoolingWithArgmax2D(3, dtype=policy)(x)
    unpooled = MaxUnpooling2D(3, (7, 7), dtype=policy)([pooled, argmax])
    filled = ZeroFillUnpooling2D(3, dtype=policy)(pooled)
    dtypes = [keras.backend.standardize_dtype(y.dtype) for y in (pooled, argmax, unpooled, filled)]
    assert dtypes == [dtype, "int32", dtype, dtype]
    expected_pooled, expected_argmax = pool_by_loop(x, 3)
    np.testing.assert_array_equal(ops.convert_to_numpy(argmax), expected_argmax)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ops.cast(unpooled, "float32")),
        unpool_by_loop(expected_pooled, expected_argmax, (7, 7)),
    )


def example_model(policy="float32"):
    x = keras.Input((7, 9, 3))
    pooled, argmax = MaxPoolingWithArgmax2D((2, 3), dtype=policy)(x)
    unpooled = MaxUnpooling2D((2, 3), (7, 9), dtype=policy)([pooled, argmax])
    return keras.Model(x, [unpooled, argmax, ZeroFillUnpooling2D(2, dtype=policy)(pooled)])


def test_functional_model_knows_shapes_and_dtypes_for_any_batch():
    model = example_model("mixed_float16")
    assert [output.shape for output in model.outputs] == [
        (None, 7, 9, 3),
        (None, 4, 3, 3),
        (None, 8, 6, 3),
    ]
    assert [output.dtype for output in model.outputs] == ["float16", "int32", "float16"]
    for batch in (1, 5):
        outputs = arrays(model(images("distinct", 7, 9, batch=batch)))
        assert [output.shape[1:] for output in outputs] == [o.shape[1:] for o in model.outputs]
        assert [str(output.dtype) for output in outputs] == ["float16", "int32", "float16"]
        assert {len(output) for output in outputs} == {batch}


def test_model_predicts_and_trains():
    x = images("distinct", 7, 9)
    model = example_model()
    expected = unpool_by_loop(*pool_by_loop(x, (2, 3)), (7, 9))
    np.testing.assert_array_equal(model.predict(x, verbose=0)[0], expected)

    image = keras.Input((7, 9, 3))
    pooled, argmax = MaxPoolingWithArgmax2D()(keras.layers.Conv2D(3, 3, padding="same")(image))
    model = keras.Model(image, MaxUnpooling2D(output_size=(7, 9))([pooled, argmax]))
    model.compile("sgd", "mse")
    before = model.get_weights()[0]
    model.fit(x, x, verbose=0)
    assert (model.get_weights()[0] != before).all()


def test_saved_model_loads_in_another_process(tmp_path):
    x = images("distinct", 7, 9)
    model = example_model()
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import keras, numpy, sys, cae_lessons.layers\n"
        "model = keras.models.load_model(sys.argv[1] + '/model.keras')\n"
        "unpooled, _, _ = model.predict(numpy.load(sys.argv[1] + '/x.npy'), verbose=0)\n"
        "numpy.save(sys.argv[1] + '/y.npy', unpooled)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=HANGING)
    expected = unpool_by_loop(*pool_by_loop(x, (2, 3)), (7, 9))
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)


@pytest.mark.parametrize(
    "layer",
    [
        MaxPoolingWithArgmax2D((2, 3), name="pool", dtype="mixed_float16"),
        MaxUnpooling2D(3, 7, name="unpool", dtype="bfloat16"),
        MaxUnpooling2D(),
        ZeroFillUnpooling2D([3, 1], name="zero_fill"),
    ],
    ids=lambda layer: layer.name,
)
def test_config_round_trip(layer):
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == config
    assert again.pool_size == layer.pool_size
    assert again.compute_dtype == layer.compute_dtype


def test_global_policy_is_left_alone():
    assert keras.config.dtype_policy().name == "float32"


# Errors


@pytest.mark.parametrize("layer", [MaxPoolingWithArgmax2D, MaxUnpooling2D, ZeroFillUnpooling2D])
@pytest.mark.parametrize(
    "pool_size", [0, -1, 1.5, "2", True, None, (2,), (2, 0), (2, 2, 2), (1, 2.0)]
)
def test_pool_size_must_be_positive_and_whole(layer, pool_size):
    with pytest.raises(
        ValueError, match=r"pool_size must be a positive whole number or a pair of them, got"
    ):
        layer(pool_size)


@pytest.mark.parametrize("output_size", [0, (7, -1), 7.0, (1, 7, 7, 1)])
def test_output_size_must_be_positive_and_whole(output_size):
    with pytest.raises(ValueError, match=r"output_size must be a positive whole number or a pair"):
        MaxUnpooling2D(2, output_size)


@pytest.mark.parametrize("layer", [MaxPoolingWithArgmax2D, MaxUnpooling2D])
def test_strides_padding_and_layout_must_be_known_ones(layer):
    with pytest.raises(ValueError, match="strides must be a positive whole number or a pair"):
        layer(2, strides=0)
    with pytest.raises(ValueError, match="padding must be one of 'same', 'valid', got 'SAME'"):
        layer(padding="SAME")
    with pytest.raises(ValueError, match="data_format must be one of 'channels_last', 'channels_f"):
        layer(data_format="NHWC")


@pytest.mark.parametrize("layer", [MaxPoolingWithArgmax2D(), ZeroFillUnpooling2D()])
def test_images_must_have_four_axes_and_known_channels(layer):
    with pytest.raises(ValueError, match=r"x must have shape \(batch, height, width, channels\)"):
        layer(np.zeros((4, 4, 1), "float32"))
    with pytest.raises(ValueError, match=r"known number of channels, got \(None, 4, 4, None\)"):
        layer(keras.Input((4, 4, None)))
    with pytest.raises(ValueError, match=r"x must have shape .*, got \(1, 0, 4, 1\)"):
        layer(np.zeros((1, 0, 4, 1), "float32"))


def test_a_window_must_fit_into_the_image():
    with pytest.raises(ValueError, match=r"pool_size must fit into the image .* got \(3, 3\) for"):
        MaxPoolingWithArgmax2D(3, padding="valid")(np.zeros((1, 2, 4, 1), "float32"))


def test_unpooling_needs_two_tensors_that_belong_together():
    x = images("distinct", 4, 4)
    pooled, argmax = MaxPoolingWithArgmax2D()(x)
    unpool = MaxUnpooling2D()
    with pytest.raises(ValueError, match=r"must be a list of two tensors, \[pooled, argmax\]"):
        unpool(pooled)
    with pytest.raises(ValueError, match=r"must be a list of two tensors, .* got 3 of them"):
        unpool([pooled, argmax, argmax])
    with pytest.raises(ValueError, match=r"argmax must have whole numbers .*, got dtype float32"):
        unpool([pooled, ops.cast(argmax, "float32")])
    with pytest.raises(ValueError, match=r"argmax must have whole numbers .*, got dtype bool"):
        unpool([pooled, ops.cast(argmax, "bool")])
    for part in (argmax[:1], argmax[:, :1], argmax[..., :2], argmax[0]):
        with pytest.raises(ValueError, match=r"argmax must have the shape of the values, "):
            unpool([pooled, part])
    with pytest.raises(ValueError, match=r"argmax must have the shape of the values, "):
        unpool([keras.Input((2, 2, 3)), keras.Input((2, 2, 2), dtype="int32")])
    with pytest.raises(ValueError, match=r"pooled must have shape \(batch, height"):
        unpool([pooled[0], argmax[0]])


@pytest.mark.parametrize("size", [(2, 4), (4, 6), (6, 4), 1])
def test_output_size_must_pool_to_the_input(size):
    pooled, argmax = MaxPoolingWithArgmax2D()(images("distinct", 4, 4))
    with pytest.raises(
        ValueError,
        match=r"output_size must be the size of images that windows of 2 × 2 pool to 2 × 2",
    ):
        MaxUnpooling2D(2, size)([pooled, argmax])
    with pytest.raises(ValueError, match=r"output_size must be the size of images"):
        MaxUnpooling2D(2, size)([keras.Input((2, 2, 3)), keras.Input((2, 2, 3), dtype="int32")])


@pytest.mark.parametrize("wrong", [-1, 48, 10**6, 6, 1])  # c of another channel; another block
def test_indices_must_lie_in_their_own_block(wrong):
    pooled, argmax = arrays(MaxPoolingWithArgmax2D()(images("distinct", 4, 4)))
    argmax[1, 0, 0, 0] = wrong
    with pytest.raises(ValueError, match="but 1 of the 24 don't"):
        MaxUnpooling2D()([pooled, argmax])


CAUSES = r"(?s)output_size=.*include_batch_in_index=True.*tensorflow-batch.*another size"


def test_indices_of_an_image_of_another_width_are_refused():
    pooled, argmax = MaxPoolingWithArgmax2D()(images("distinct", 7, 7))
    with pytest.raises(ValueError, match=CAUSES):
        MaxUnpooling2D()([pooled, argmax])


def test_a_net_without_the_output_size_that_it_needs_is_refused():
    image = keras.Input((27, 27, 1))
    model = keras.Model(image, MaxUnpooling2D()(MaxPoolingWithArgmax2D()(image)))
    with pytest.raises(ValueError, match=CAUSES):
        model(images("distinct", 27, 27, channels=1))


def test_indices_that_count_the_batch_are_refused_and_converted():
    x = images("distinct", 4, 6)
    pooled, argmax = arrays(MaxPoolingWithArgmax2D()(x))
    counting = argmax + np.arange(2).reshape(-1, 1, 1, 1) * x[0].size
    with pytest.raises(ValueError, match=CAUSES):
        MaxUnpooling2D()([pooled, counting])
    converted = to_tensorflow_indices(counting, "tensorflow-batch", (4, 6))
    np.testing.assert_array_equal(converted, argmax)
    again = from_tensorflow_indices(argmax, "tensorflow-batch", (4, 6))
    np.testing.assert_array_equal(again, counting)


def test_indices_that_were_changed_in_place_are_checked_again():
    x = images("distinct", 4, 4)
    pooled, argmax = MaxPoolingWithArgmax2D()(x)
    if BACKEND != "torch":
        pytest.skip("only PyTorch's tensors can be changed")
    argmax += 1
    with pytest.raises(ValueError, match="each index in argmax must point"):
        MaxUnpooling2D()([pooled, argmax])


# Conventions of indices


def test_conventions_name_the_same_pixel():
    x = images("distinct", 6, 7)
    _, argmax = arrays(MaxPoolingWithArgmax2D()(x))
    planes = np.moveaxis(x, -1, 1)  # NCHW
    highest = np.moveaxis(pool_by_loop(x, 2)[0], -1, 1)
    onnx = from_tensorflow_indices(argmax, "onnx", (6, 7))
    np.testing.assert_array_equal(planes.reshape(-1)[onnx], highest)
    pytorch = from_tensorflow_indices(argmax, "pytorch", (6, 7))
    found = np.take_along_axis(planes.reshape(2, 3, -1), pytorch.reshape(2, 3, -1), axis=-1)
    np.testing.assert_array_equal(found.reshape(highest.shape), highest)


CONVENTIONS = ["tensorflow", "tensorflow-batch", "pytorch", "onnx", "onnx-column-major"]
shapes = st.tuples(*[st.integers(1, 4)] * 4)


@settings(max_examples=50, deadline=None)
@given(shapes, st.sampled_from(CONVENTIONS), st.integers(0, 2**32 - 1))
def test_conversion_round_trip(shape, convention, seed):
    height, width, channels = 9, 10, shape[-1]
    places = np.random.default_rng(seed).integers(0, height * width, shape)
    indices = places * channels + np.arange(channels)
    there = from_tensorflow_indices(indices, convention, (height, width))
    assert there.dtype == np.int64
    np.testing.assert_array_equal(
        to_tensorflow_indices(there, convention, (height, width)), indices
    )


def test_conversion_by_hand():
    # Two images of two 2 × 3 planes, one window each: the last pixel, in the last plane the first.
    pytorch = np.array([5, 5, 5, 0]).reshape(2, 2, 1, 1)
    tensorflow = np.array([10, 11, 10, 1]).reshape(2, 1, 1, 2)
    onnx = np.array([5, 11, 17, 18]).reshape(2, 2, 1, 1)
    np.testing.assert_array_equal(to_tensorflow_indices(pytorch, "pytorch", (2, 3)), tensorflow)
    np.testing.assert_array_equal(to_tensorflow_indices(onnx, "onnx", (2, 3)), tensorflow)
    np.testing.assert_array_equal(from_tensorflow_indices(tensorflow, "onnx", (2, 3)), onnx)


@pytest.mark.parametrize("convert", [to_tensorflow_indices, from_tensorflow_indices])
def test_conversion_errors(convert):
    indices = np.zeros((1, 1, 1, 1), int)
    with pytest.raises(
        ValueError, match=r"convention must be one of 'tensorflow', .*, got 'caffe'"
    ):
        convert(indices, "caffe", (2, 2))
    with pytest.raises(
        ValueError, match="size must be a positive whole number or a pair of them, got 0"
    ):
        convert(indices, "onnx", 0)
    with pytest.raises(
        ValueError, match="indices must have 4 axes and whole numbers, got 1 axes and dtype int64"
    ):
        convert([0], "onnx", 2)
    with pytest.raises(ValueError, match="got 4 axes and dtype float64"):
        convert(indices * 1.0, "onnx", 2)
    for outside in (-1, 4):
        with pytest.raises(ValueError, match="indices must point into their own plane of 2 × 2 by"):
            convert(indices + outside, "pytorch", 2)
    with pytest.raises(ValueError, match="by the convention 'tensorflow'"):
        from_tensorflow_indices(np.array([0, 2]).reshape(1, 1, 1, 2), "pytorch", 2)
