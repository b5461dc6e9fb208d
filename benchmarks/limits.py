"""How far a training step is from what the machine can do at all.

How long a step's multiplications and additions take at the rate of a large matrix product, and its
maps and weights at the rate of a large copy.  Another way to compute the same may take fewer
operations, and maps that fit in the cache pass faster.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import tensorflow as tf

from benchmarks import nets
from benchmarks.layers import STEPS, training_step
from benchmarks.table import milliseconds, ratio, table
from benchmarks.timing import compare, stopwatch, summary, take_turns

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
SIDE = 2048  # of the matrices
COPIED = 2**27  # bytes: four times a large cache
FLOAT = 4  # bytes
# Adam reads a weight, its gradient and its two moments, and writes all but the gradient.
ADAM = 7
ALONE = "the strided net's convolutions alone"


def measure(repeats=5):
    """Return each net's operations and bytes a step, the machine's rates, and the distance.

    Products, copies and steps take turns: one pace for all.
    """
    limits = {"numpy product": numpy_product(), "tensorflow product": tensorflow_product()}
    turns = {
        **limits,
        "copy": copy(),
        "convolutions": convolutions(nets.build("strided")),
        **{f"step {net}": training_step(nets.build(net)) for net in nets.BUILDERS},
    }
    take_turns(turns, 1)  # to warm up
    seconds = take_turns(turns, repeats)
    fastest = min(limits, key=lambda name: summary(seconds[name])["median"])
    rates = {
        "operations": [2 * SIDE**3 / value for value in seconds[fastest]],
        "bytes": [2 * COPIED / value for value in seconds["copy"]],
    }
    return {
        "rates": {name: summary(values) for name, values in rates.items()},
        "nets": {net: distance(net, seconds[f"step {net}"], rates) for net in nets.BUILDERS},
        ALONE: distance("strided", seconds["convolutions"], rates),
    }


def distance(net, seconds, rates):
    """Return a net's counts, the bounds that follow, and how many times each its step takes."""
    model = nets.build(net)
    counts = {"operations": operations(model), "bytes": traffic(model)}
    bounds = {name: [count / rate for rate in rates[name]] for name, count in counts.items()}
    compared = {
        name: compare({"ours": seconds, "limit": bound}, "limit")["ours"]["ratio"]
        for name, bound in bounds.items()
    }
    return {
        "seconds": summary(seconds),
        **{
            name: {"count": counts[name], "seconds": summary(bounds[name]), "ratio": compared[name]}
            for name in counts
        },
    }


def operations(model, batch_size=nets.BATCH_SIZE):
    """Return the floating-point operations of a training step's convolutions.

    Forward, the kernel's gradient and the input's take as many products each; the first layer's
    input needs no gradient.  Products with SAME padding's zeros don't count, those with the zeros
    of an unpooling layer do.

    Examples
    --------
    >>> one = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 2, 2)])
    >>> operations(one, batch_size=1)  # 16 products forward, 16 for the kernel
    64
    """
    layers = [layer for layer in model.layers if isinstance(layer, CONVOLUTIONS)]
    passes = [2] + [3] * (len(layers) - 1)
    counts = [count * products(layer) for count, layer in zip(passes, layers, strict=True)]
    return 2 * batch_size * sum(counts)


def products(layer):
    """Return how many products a convolution, or a transposed one, sums up for one image."""
    large, small = layer.input.shape[1:3], layer.output.shape[1:3]
    if isinstance(layer, keras.layers.Conv2DTranspose):
        large, small = small, large
    axes = zip(large, small, layer.kernel_size, layer.strides, strict=True)
    return math.prod(taps(*axis) for axis in axes) * math.prod(layer.kernel.shape[2:])


def taps(large, small, kernel_size, stride):
    """Return how many entries a kernel meets along an axis, over all places where it is put.

    Examples
    --------
    >>> taps(4, 4, 3, 1)  # 2 at both edges, 3 at each place between
    10
    """
    before = max((small - 1) * stride + kernel_size - large, 0) // 2
    starts = np.arange(small) * stride - before
    met = starts[:, None] + np.arange(kernel_size)
    return int(np.sum((met >= 0) & (met < large)))


def traffic(model, batch_size=nets.BATCH_SIZE):
    """Return the bytes that a training step must read and write, each layer for itself.

    Forward a layer reads its input and writes its output; backward it reads its input and the
    output's gradient, and writes the input's, but for the first layer.  Weights: read forward and
    backward, their gradient written, and Adam.
    """
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    maps = sum(3 * size(layer.input) + 2 * size(layer.output) for layer in layers)
    maps -= size(layers[0].input)
    return FLOAT * (batch_size * maps + (3 + ADAM) * model.count_params())


def size(tensors):
    """Return the numbers in a layer's input or output for one image."""
    tensors = tensors if isinstance(tensors, (list, tuple)) else [tensors]
    return sum(math.prod(tensor.shape[1:]) for tensor in tensors)


def convolutions(model, steps=STEPS):
    """Return a stopwatch of a step's convolutions and nothing else, in one compiled loop.

    Forward, the kernels' gradients and the maps', as in training; no biases, activations, loss or
    Adam.  The model is a chain of convolutions.
    """
    layers = [layer for layer in model.layers if isinstance(layer, CONVOLUTIONS)]
    images = tf.constant(nets.images()[: nets.BATCH_SIZE])

    @tf.function
    def run():
        total = 0.0
        for step in tf.range(steps):
            # Other kernels at each step, or the compiler does all steps but one away.
            kernels = [layer.kernel + tf.cast(step, tf.float32) for layer in layers]
            with tf.GradientTape() as tape:
                tape.watch(kernels)
                x = images
                for layer, kernel in zip(layers, kernels, strict=True):
                    x = convolve(layer, x, kernel)
            gradients = tape.gradient(x, kernels, x)
            total += tf.add_n([gradient[0, 0, 0, 0] for gradient in gradients])
        return total

    watch = stopwatch(lambda: run().numpy())
    return lambda: watch() / steps


def convolve(layer, x, kernel):
    """Return what a layer's convolution, or transposed one, makes of maps with a kernel."""
    if isinstance(layer, keras.layers.Conv2DTranspose):
        shape = (len(x), *layer.output.shape[1:])
        return tf.nn.conv2d_transpose(x, kernel, shape, layer.strides, "SAME")
    return tf.nn.conv2d(x, kernel, layer.strides, "SAME")


def numpy_product():
    """Return a stopwatch of NumPy's product of two square matrices."""
    a = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    out = np.empty_like(a)
    return stopwatch(lambda: np.matmul(a, a, out=out))


def tensorflow_product():
    """Return a stopwatch of TensorFlow's product of two square matrices."""
    a = tf.random.stateless_uniform((SIDE, SIDE), (0, 0))
    product = tf.function(lambda: tf.reduce_max(tf.matmul(a, a)))
    return stopwatch(lambda: product().numpy())


def copy():
    """Return a stopwatch of a copy larger than the cache, by all cores."""
    cores = os.cpu_count()
    parts = [
        (np.ones(COPIED // cores, np.uint8), np.ones(COPIED // cores, np.uint8))
        for _ in range(cores)
    ]
    pool = ThreadPoolExecutor(cores)
    return stopwatch(lambda: list(pool.map(lambda pair: np.copyto(*pair), parts)))


def report(results):
    """Return the results as text."""
    rates = results["rates"]
    head = [
        "a step",
        "ours",
        "operations",
        "at least",
        "ours / that",
        "bytes",
        "at least",
        "ours / that",
    ]
    rows = [
        [
            net,
            milliseconds(found["seconds"]),
            f"{found['operations']['count'] / 1e6:,.0f} M",
            milliseconds(found["operations"]["seconds"]),
            ratio(found["operations"]["ratio"]),
            f"{found['bytes']['count'] / 1e6:,.0f} MB",
            milliseconds(found["bytes"]["seconds"]),
            ratio(found["bytes"]["ratio"]),
        ]
        for net, found in {**results["nets"], ALONE: results[ALONE]}.items()
    ]
    return "\n".join(
        [
            table(head, rows),
            f"matrix product: {rates['operations']['median'] / 1e9:.1f} GFLOP/s; "
            f"copy: {rates['bytes']['median'] / 1e9:.1f} GB/s read and written",
        ]
    )
