"""JAX: one compiled call a step.

Several steps in one `lax.scan` are slower by far on the CPU: within a loop its convolutions run on
one core, and by a slower algorithm.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.contenders import EPSILON, LEARNING_RATE, describe

LAYOUT = ("NHWC", "HWIO", "NHWC")


def start(net, weights, images):
    """Return `train(batches)` by JAX's usual loop."""
    images, parameters = jnp.asarray(images), [jnp.asarray(weight) for weight in weights]
    first, second = ([jnp.zeros_like(weight) for weight in weights] for _ in range(2))
    state = (parameters, first, second, jnp.zeros(()))
    compiled = jax.jit(functools.partial(step, net=net), donate_argnums=0)

    def train(batches):
        nonlocal state
        losses = []
        for batch in batches:
            state, loss = compiled(state, images, batch)
            losses.append(loss)
        return float(jnp.mean(jnp.stack(losses)))

    return train


def step(state, images, batch, net):
    """Take one step of Adam."""
    x = images[batch]

    def loss(parameters):
        return jnp.mean(jnp.square(autoencoder(x, parameters, net) - x))

    value, gradients = jax.value_and_grad(loss)(state[0])
    return adam(state, gradients), value


def adam(state, gradients):
    """Return the next parameters, moments and step count."""
    parameters, first, second, count = state
    count = count + 1
    first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
    second = [0.999 * v + 0.001 * g * g for v, g in zip(second, gradients, strict=True)]
    rate = LEARNING_RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    parameters = [
        p - rate * m / (jnp.sqrt(v) + EPSILON)
        for p, m, v in zip(parameters, first, second, strict=True)
    ]
    return parameters, first, second, count


def autoencoder(x, parameters, net):
    """Return one of the six nets' output."""
    unpooling, mirrored = describe(net)
    kernel_1, bias_1, kernel_2, bias_2, kernel_3, kernel_4 = parameters
    if net == "strided":
        x = jax.nn.relu(convolve(x, kernel_1, stride=2) + bias_1)
        x = jax.nn.relu(convolve(x, kernel_2, stride=2) + bias_2)
        x = jax.nn.relu(transposed(x, kernel_3, stride=2))
        return jax.nn.relu(transposed(x, kernel_4, stride=2))
    pool, unpool = UNPOOLING[unpooling]
    x, where_1 = pool(jax.nn.relu(convolve(x, kernel_1) + bias_1))
    x, where_2 = pool(jax.nn.relu(convolve(x, kernel_2) + bias_2))
    if mirrored:
        x = jax.nn.sigmoid(transposed(unpool(x, where_2), kernel_3))
        return jax.nn.sigmoid(transposed(unpool(x, where_1), kernel_4))
    x = unpool(jax.nn.sigmoid(transposed(x, kernel_3)), where_2)
    return unpool(jax.nn.sigmoid(transposed(x, kernel_4)), where_1)


def convolve(x, kernel, stride=1):
    """Convolve with SAME padding."""
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=LAYOUT)


def transposed(x, kernel, stride=1):
    """Transpose a convolution with SAME padding: to its gradient, flipped and dilated."""
    return lax.conv_transpose(
        x, kernel, (stride, stride), "SAME", dimension_numbers=LAYOUT, transpose_kernel=True
    )


def max_pool(x):
    """Return the maxima of 2 × 2 windows, and no indices."""
    return argmax_pool(x)[0], None  # faster than `lax.reduce_window` and its gradient


def argmax_pool(x):
    """Return the maxima of 2 × 2 windows, and the one-hot of where in its window each was."""
    count, height, width, channels = x.shape
    blocks = x.reshape(count, height // 2, 2, width // 2, 2, channels)
    blocks = blocks.transpose(0, 1, 3, 5, 2, 4).reshape(*blocks.shape[:2], width // 2, channels, 4)
    where = jax.nn.one_hot(blocks.argmax(-1), 4)
    return jnp.sum(blocks * where, -1), where


def argmax_unpool(x, where):
    """Put each value where its maximum was."""
    count, height, width, channels = x.shape
    blocks = (x[..., None] * where).reshape(count, height, width, channels, 2, 2)
    return blocks.transpose(0, 1, 4, 2, 5, 3).reshape(count, 2 * height, 2 * width, channels)


def nearest(x, where):
    """Fill each 2 × 2 block with its value."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def zero_fill(x, where):
    """Put each value to the top left of its block: dilate, with a last row and column of zeros."""
    return lax.pad(x, 0.0, [(0, 0, 0), (0, 1, 1), (0, 1, 1), (0, 0, 0)])


UNPOOLING = {
    "zero-fill": (max_pool, zero_fill),
    "nearest": (max_pool, nearest),
    "argmax": (argmax_pool, argmax_unpool),
}
