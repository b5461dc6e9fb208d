import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

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

BACKEND = keras.backend.backend()
needs_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="compares with TensorFlow")
can_compile = pytest.mark.skipif(BACKEND == "torch", reason="torch.compile needs a C++ compiler")

POOL_SIZES = [1, 2, 3, (2, 3), (3, 1), (4, 5)]
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


def pool_by_loop(x, pool_size):
    """Max pooling with SAME padding as a plain loop over windows."""
    batch, height, width, channels = x.shape
    rows, columns = pair("pool_size", pool_size)
    shape = (batch, -(-height // rows), -(-width // columns), channels)
    top, left = (shape[1] * rows - height) // 2, (shape[2] * columns - width) // 2
    pooled, argmax = np.full(shape, -np.inf, x.dtype), np.full(shape, -1)
    for n, i, j, c in np.ndindex(shape):
        for y in range(max(i * rows - top, 0), min((i + 1) * rows - top, height)):
            for z in range(max(j * columns - left, 0), min((j + 1) * columns - left, width)):
                if argmax[n, i, j, c] < 0 or x[n, y, z, c] > pooled[n, i, j, c]:
                    pooled[n, i, j, c] = x[n, y, z, c]
                    argmax[n, i, j, c] = (y * width + z) * channels + c
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


def weights_like(x):
    return np.linspace(-1, 2, np.prod(x.shape)).reshape(x.shape).astype("float32")


def pool_and_unpool(x, pool_size=2):
    pooled, argmax = MaxPoolingWithArgmax2D(pool_size)(x)
    return MaxUnpooling2D(pool_size, tuple(x.shape[1:3]))([pooled, argmax])


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


# Modes, dtypes, models


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
def test_compiled_drops_a_value_whose_index_is_in_another_block():
    argmax = np.int32([2, 4]).reshape(
        1, 1, 2, 1
    )  # Of a 2 × 4 image, and each in the other's block.
    unpool = compiled(lambda v, a: MaxUnpooling2D()([v, a]), xla=False)
    result = unpool(np.ones((1, 1, 2, 1), "float32"), argmax)
    assert not ops.convert_to_numpy(result).any()


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
        "import keras, numpy, sys, cae_lessons\n"
        "model = keras.models.load_model(sys.argv[1] + '/model.keras')\n"
        "unpooled, _, _ = model.predict(numpy.load(sys.argv[1] + '/x.npy'), verbose=0)\n"
        "numpy.save(sys.argv[1] + '/y.npy', unpooled)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=120)
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
        ValueError, match=r"pool_size=.*, expected a positive whole number or a pair"
    ):
        layer(pool_size)


@pytest.mark.parametrize("output_size", [0, (7, -1), 7.0, (1, 7, 7, 1)])
def test_output_size_must_be_positive_and_whole(output_size):
    with pytest.raises(ValueError, match=r"output_size=.*, expected a positive whole number or a"):
        MaxUnpooling2D(2, output_size)


@pytest.mark.parametrize("layer", [MaxPoolingWithArgmax2D(), ZeroFillUnpooling2D()])
def test_images_must_have_four_known_axes(layer):
    with pytest.raises(ValueError, match=r"x has shape \(4, 4, 1\), expected \(batch, height"):
        layer(np.zeros((4, 4, 1), "float32"))
    with pytest.raises(ValueError, match=r"x has shape \(None, None, 4, 1\).*only the batch"):
        layer(keras.Input((None, 4, 1)))
    with pytest.raises(ValueError, match=r"x has shape \(1, 0, 4, 1\), expected"):
        layer(np.zeros((1, 0, 4, 1), "float32"))


def test_unpooling_needs_two_tensors_that_belong_together():
    x = images("distinct", 4, 4)
    pooled, argmax = MaxPoolingWithArgmax2D()(x)
    unpool = MaxUnpooling2D()
    with pytest.raises(ValueError, match=r"no list of two tensors, expected \[pooled, argmax\]"):
        unpool(pooled)
    with pytest.raises(ValueError, match="no list of two tensors"):
        unpool([pooled, argmax, argmax])
    with pytest.raises(ValueError, match="argmax has dtype float32, expected whole numbers"):
        unpool([pooled, ops.cast(argmax, "float32")])
    with pytest.raises(ValueError, match="argmax has dtype bool, expected whole numbers"):
        unpool([pooled, ops.cast(argmax, "bool")])
    for part in (argmax[:1], argmax[:, :1], argmax[..., :2], argmax[0]):
        with pytest.raises(ValueError, match=r"argmax has shape .*, expected that of the values"):
            unpool([pooled, part])
    with pytest.raises(ValueError, match=r"argmax has shape .*, expected that of the values"):
        unpool([keras.Input((2, 2, 3)), keras.Input((2, 2, 2), dtype="int32")])
    with pytest.raises(ValueError, match=r"pooled has shape .*, expected \(batch, height"):
        unpool([pooled[0], argmax[0]])


@pytest.mark.parametrize("size", [(2, 4), (4, 6), (6, 4), 1])
def test_output_size_must_pool_to_the_input(size):
    pooled, argmax = MaxPoolingWithArgmax2D()(images("distinct", 4, 4))
    with pytest.raises(
        ValueError, match=r"output_size=.*, but windows of 2 × 2 pool no such image"
    ):
        MaxUnpooling2D(2, size)([pooled, argmax])
    with pytest.raises(ValueError, match=r"output_size=.*, but windows"):
        MaxUnpooling2D(2, size)([keras.Input((2, 2, 3)), keras.Input((2, 2, 3), dtype="int32")])


@pytest.mark.parametrize("wrong", [-1, 48, 10**6, 6, 1])  # c of another channel; another block
def test_indices_must_lie_in_their_own_block(wrong):
    pooled, argmax = arrays(MaxPoolingWithArgmax2D()(images("distinct", 4, 4)))
    argmax[1, 0, 0, 0] = wrong
    with pytest.raises(ValueError, match="1 of the 24 indices in argmax lie outside their value's"):
        MaxUnpooling2D()([pooled, argmax])


def test_indices_of_an_image_of_another_width_are_refused():
    pooled, argmax = MaxPoolingWithArgmax2D()(images("distinct", 7, 7))
    with pytest.raises(ValueError, match="8 × 8 × 3 image: do they count in an image of another"):
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


shapes = st.tuples(*[st.integers(1, 4)] * 4)


@settings(max_examples=50, deadline=None)
@given(shapes, st.sampled_from(["tensorflow", "pytorch", "onnx"]), st.integers(0, 2**32 - 1))
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
        ValueError, match="convention='caffe', expected one of 'tensorflow', 'pytorch', 'onnx'"
    ):
        convert(indices, "caffe", (2, 2))
    with pytest.raises(ValueError, match="size=0, expected a positive whole number or a pair"):
        convert(indices, "onnx", 0)
    with pytest.raises(ValueError, match="indices have 1 axes and dtype int64, expected 4 and"):
        convert([0], "onnx", 2)
    with pytest.raises(ValueError, match="indices have 4 axes and dtype float64, expected 4 and"):
        convert(indices * 1.0, "onnx", 2)
    for outside in (-1, 4):
        with pytest.raises(ValueError, match="indices point outside their plane of size 2, by"):
            convert(indices + outside, "pytorch", 2)
    with pytest.raises(ValueError, match="by tensorflow's count"):
        from_tensorflow_indices(np.array([0, 2]).reshape(1, 1, 1, 2), "pytorch", 2)
