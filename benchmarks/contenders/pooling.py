"""Max pooling with places and its inverse, forward and backward: ours, and a framework's own ways.

A framework in a process of its own runs both, with Keras on it: `KERAS_BACKEND` says which one.
Each `..._ways` returns functions of no arguments, for images (n, height, width, channels) and
square windows with SAME padding.
"""

import keras
import numpy as np


def start(shape, pool_size):
    """Return `train((way, calls))`, which lets one of the ways do both directions some times."""
    from cae_lessons.layers import MaxPoolingWithArgmax2D, MaxUnpooling2D

    pool, unpool = MaxPoolingWithArgmax2D(pool_size), MaxUnpooling2D(pool_size, shape[1:3])
    generator = np.random.default_rng(0)
    x, upstream = (generator.standard_normal(shape, "float32") for _ in range(2))
    make = {"tensorflow": tensorflow_ways, "torch": torch_ways, "jax": jax_ways}
    ways = make[keras.backend.backend()](lambda x: unpool(pool(x)), x, upstream, pool_size)
    check([way() for way in ways.values()])

    def train(request):
        way, calls = request
        for _ in range(calls):
            ways[way]()

    return train


def check(results):
    """Raise unless all ways gave the same images and gradients."""
    for result in results[1:]:
        for one, other in zip(result, results[0], strict=True):
            np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-5)


def tensorflow_ways(ours, x, upstream, pool_size):
    """Return ours, and TensorFlow's op with a scatter."""
    import tensorflow as tf

    def scatter(x):
        pooled, argmax = tf.nn.max_pool_with_argmax(x, pool_size, pool_size, "SAME")
        image = tf.range(len(x), dtype=argmax.dtype)[:, None, None, None]
        indices = tf.reshape(argmax + image * x[0].shape.num_elements(), (-1, 1))
        flat = tf.scatter_nd(indices, tf.reshape(pooled, (-1,)), [tf.size(x, argmax.dtype)])
        return tf.reshape(flat, x.shape)

    def both_ways(function):
        @tf.function
        def call(x, upstream):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
            return y, tape.gradient(y, x, upstream)

        return lambda: call(x, upstream)

    x, upstream = tf.constant(x), tf.constant(upstream)
    return {"ours": both_ways(ours), "op and scatter": both_ways(scatter)}


def torch_ways(ours, x, upstream, pool_size):
    """Return ours, and PyTorch's pooling and unpooling in both of its layouts."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    excess = -x.shape[1] % pool_size
    margins = {"padding": excess // 2, "ceil_mode": bool(excess)}

    def own(x):
        pooled, indices = functional.max_pool2d(x, pool_size, return_indices=True, **margins)
        size = x.shape[2:]
        return functional.max_unpool2d(
            pooled, indices, pool_size, padding=excess // 2, output_size=size
        )

    def both_ways(function, x, upstream, axes=(0, 1, 2, 3)):
        def call():
            x.grad = None
            y = function(x.requires_grad_())
            y.backward(upstream)
            return y.detach().permute(axes), x.grad.permute(axes)

        return call

    x, upstream = torch.from_numpy(x), torch.from_numpy(upstream)
    ways = {"ours": both_ways(ours, x.clone(), upstream)}
    for name in ("contiguous", "channels last"):
        layout = torch.channels_last if name == "channels last" else torch.contiguous_format
        planes = [
            tensor.permute(0, 3, 1, 2).clone(memory_format=layout) for tensor in (x, upstream)
        ]
        ways[name] = both_ways(own, *planes, axes=(0, 2, 3, 1))
    return ways


def jax_ways(ours, x, upstream, pool_size):
    """Return ours, the argmax of rearranged blocks with a one-hot, and a window reduction."""
    import jax
    from jax import numpy as jnp

    batch, height, width, channels = x.shape
    margins = [((-n % pool_size) // 2, (-n % pool_size + 1) // 2) for n in (height, width)]

    def blocks(x):
        x = jnp.pad(x, [(0, 0), *margins, (0, 0)], constant_values=-jnp.inf)
        rows, columns = x.shape[1] // pool_size, x.shape[2] // pool_size
        x = x.reshape(batch, rows, pool_size, columns, pool_size, channels)
        x = x.transpose(0, 1, 3, 5, 2, 4).reshape(batch, rows, columns, channels, -1)
        place = jnp.argmax(x, -1)
        pooled = jnp.take_along_axis(x, place[..., None], -1)
        y = pooled * jax.nn.one_hot(place, pool_size**2)
        y = y.reshape(batch, rows, columns, channels, pool_size, pool_size)
        y = y.transpose(0, 1, 4, 2, 5, 3).reshape(batch, rows * pool_size, -1, channels)
        (top, _), (left, _) = margins
        return y[:, top : top + height, left : left + width]

    def window_reduction(x):
        places = jnp.arange(height * width * channels).reshape(1, height, width, channels)
        operands = jax.lax.stop_gradient(x), jnp.broadcast_to(places, x.shape)
        window = (1, pool_size, pool_size, 1)
        _, place = jax.lax.reduce_window(
            operands, (-jnp.inf, np.int32(2**31 - 1)), larger, window, window, "SAME"
        )
        place, image = place.reshape(batch, -1), jnp.arange(batch)[:, None]
        pooled = jnp.take_along_axis(x.reshape(batch, -1), place, 1)
        flat = jnp.zeros((batch, height * width * channels))
        return flat.at[image, place].set(pooled, unique_indices=True).reshape(x.shape)

    def larger(one, other):
        first = (one[0] > other[0]) | ((one[0] == other[0]) & (one[1] < other[1]))
        return jnp.where(first, one[0], other[0]), jnp.where(first, one[1], other[1])

    def both_ways(function):
        @jax.jit
        def call(x, upstream):
            y, backward = jax.vjp(function, x)
            return y, backward(upstream)[0]

        return lambda: jax.block_until_ready(call(x, upstream))

    x, upstream = jnp.asarray(x), jnp.asarray(upstream)
    ways = {"ours": ours, "blocks": blocks, "window reduction": window_reduction}
    return {name: both_ways(way) for name, way in ways.items()}
