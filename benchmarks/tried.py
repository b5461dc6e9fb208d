"""What might have been faster: the package's way first, then what else does the same."""

from unittest import mock

import tensorflow as tf

from benchmarks import nets
from benchmarks.layers import MAPS, POOLED, alternatives, report, training_step
from benchmarks.timing import in_turn
from cae_lessons import layers, training

__all__ = ["measure", "report"]
KERNEL = (5, 5, 1, 16)  # of the last transposed convolution: height, width, out, in


def measure(repeats=5):
    """Return all of it, in groups; each group's first is what the package does."""
    groups = {
        "max pooling": pooling(),
        "unpooling by argmax": unpooling(),
        "zero-fill": zero_filling(),
        "nearest and convolution": folding(),
        "stride-2 convolution": striding(),
        "a step of the strided net": looping(),
        "a step of the mirrored nearest net": compiling(),
    }
    return {name: in_turn(contenders, repeats) for name, contenders in groups.items()}


def pooling():
    """Pool by slices and their maximum, or by a maximum over the axes of the windows."""

    def by_slices(x):
        rows = tf.maximum(x[:, ::2], x[:, 1::2])
        return tf.maximum(rows[:, :, ::2], rows[:, :, 1::2])

    def by_axes(x):
        _, height, width, channels = x.shape
        return tf.reduce_max(tf.reshape(x, (-1, height // 2, 2, width // 2, 2, channels)), (2, 4))

    functions = {
        "max_pool2d": lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"),
        "strided slices": by_slices,
        "reduce_max": by_axes,
    }
    return alternatives(functions, MAPS)


def unpooling():
    """Choose by one mask of the whole image instead of place by place."""
    _, argmax = layers.MaxPoolingWithArgmax2D()(tf.random.stateless_normal(MAPS, (0, 0)))
    unpool = layers.MaxUnpooling2D()
    functions = {
        "place by place": lambda x: unpool([x, argmax]),
        "one mask": lambda x: tf.where(layers.argmax_mask(argmax, 2), layers.spread(x, 2), 0),
    }
    return alternatives(functions, POOLED)


def zero_filling():
    """Mask what was spread instead of extending each value by zeros."""
    mask = layers.corner_mask((2 * POOLED[1], 2 * POOLED[2]), 2)
    functions = {
        "padding": layers.ZeroFillUnpooling2D(),
        "choice by the mask": lambda x: tf.where(mask, layers.spread(x, 2), 0),
    }
    return alternatives(functions, POOLED)


def folding():
    """Fold by one strided transposed convolution, or by one convolution to four phases."""
    kernel = tf.Variable(tf.random.stateless_normal(KERNEL, (0, 1)))
    functions = {
        "two layers": lambda x: transposed(layers.spread(x, 2), kernel, 1),
        "stride 2, 6 × 6": lambda x: transposed(x, smoothed(kernel), 2),
        "four phases": lambda x: four_phases(x, smoothed(kernel)),
    }
    return alternatives(functions, POOLED, [kernel])


def striding():
    """Transpose a strided convolution by one convolution to four phases."""
    kernel = tf.Variable(tf.random.stateless_normal(KERNEL, (0, 1)))
    functions = {
        "conv2d_transpose": lambda x: transposed(x, kernel, 2),
        "four phases": lambda x: four_phases(x, tf.pad(kernel, [(1, 0), (1, 0), (0, 0), (0, 0)])),
    }
    return alternatives(functions, POOLED, [kernel])


def looping():
    """Take fewer or more steps in one compiled call, or compile the step with XLA."""
    plain = training_step(nets.build("strided"), 100)
    return {
        "25 steps a call": plain,
        "1 step a call": with_steps_per_call(1, plain),
        "100 steps a call": with_steps_per_call(100, plain),
        "XLA": with_xla("strided"),
    }


def compiling():
    """Compile the step of a net that pools with XLA."""
    net = "mirrored nearest"
    return {"without XLA": training_step(nets.build(net), 100), "XLA": with_xla(net)}


def with_xla(net):
    """Return a stopwatch of the training step as it is compiled where there is a GPU."""
    with mock.patch.object(tf.config, "list_physical_devices", return_value=["a GPU"]):
        return training_step(nets.build(net), 100)


def with_steps_per_call(count, watch):
    """Return the stopwatch with another number of steps in a call."""

    def measure():
        with mock.patch.object(training, "STEPS_PER_CALL", count):
            return watch()

    return measure


def transposed(x, kernel, stride):
    """Convolve transposed, SAME."""
    count, height, width, _ = x.shape
    shape = (count, stride * height, stride * width, kernel.shape[2])
    return tf.nn.conv2d_transpose(x, kernel, shape, stride, "SAME")


def smoothed(kernel):
    """Return the 6 × 6 kernel that nearest-neighbour resize makes of a 5 × 5 one."""
    margins = ((0, 1), (1, 0))
    return tf.add_n([tf.pad(kernel, [y, x, (0, 0), (0, 0)]) for y in margins for x in margins])


def four_phases(x, kernel):
    """Transpose a 6 × 6 convolution of stride 2: 3 × 3 to four channels, then interleave these."""
    out, channels = kernel.shape[2:]
    taps = tf.reverse(tf.reshape(kernel, (3, 2, 3, 2, out, channels)), [0, 2])
    taps = tf.reshape(tf.transpose(taps, (0, 2, 5, 1, 3, 4)), (3, 3, channels, 4 * out))
    return tf.nn.depth_to_space(tf.nn.conv2d(x, taps, 1, "SAME"), 2)
