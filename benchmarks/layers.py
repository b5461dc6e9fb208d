"""Each layer alone, forward and backward, against what else does the same."""

import keras
import tensorflow as tf

from benchmarks import nets
from benchmarks.contenders import ours, stock
from benchmarks.table import milliseconds, ratio, table
from benchmarks.timing import compare, stopwatch, take_turns
from cae_lessons import layers
from cae_lessons.models import fold_unpooling

MAPS = (nets.BATCH_SIZE, 28, 28, 16)  # the first convolution's
POOLED = (nets.BATCH_SIZE, 14, 14, 16)
CALLS = 20


def measure(repeats=5):
    """Return all of it, in groups of contenders; each group's first is what ratios refer to."""
    groups = {
        "pool and unpool by argmax": argmax_layers(),
        "max pooling": pooling_layers(),
        "zero-fill": zero_fill_layers(),
        "nearest": nearest_layers(),
        "each layer of the strided net": each_layer("strided"),
        "each layer of the mirrored argmax net": each_layer("mirrored argmax"),
        "a step of the mirrored zero-fill net": folding("mirrored zero-fill"),
        "a step of the mirrored nearest net": folding("mirrored nearest"),
    }
    return {name: in_turn(contenders, repeats) for name, contenders in groups.items()}


def in_turn(contenders, repeats):
    """Warm up, take turns, compare with the first."""
    take_turns(contenders, 1)
    return compare(take_turns(contenders, repeats), next(iter(contenders)))


def both_ways(function, shape, weights=()):
    """Return a stopwatch of a function of maps, and of its gradients, both compiled."""
    x = tf.random.stateless_normal(shape, (0, 0))
    upstream = tf.ones_like(function(x))

    @tf.function
    def call():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, [x, *weights], upstream)

    return stopwatch(call, CALLS)


def argmax_layers():
    """Pooling that remembers where, and its inverse."""
    pool, unpool = layers.MaxPoolingWithArgmax2D(), layers.MaxUnpooling2D()
    return {
        "ours": both_ways(lambda x: unpool(pool(x)), MAPS),
        "TensorFlow's op and a scatter": both_ways(
            lambda x: stock.scatter(stock.pool_with_argmax(x)), MAPS
        ),
    }


def pooling_layers():
    """Pooling alone: Keras' own, which the nets use, against that which also tells where."""
    pool = layers.MaxPoolingWithArgmax2D()
    return {
        "MaxPooling2D": both_ways(keras.layers.MaxPooling2D(), MAPS),
        "MaxPoolingWithArgmax2D": both_ways(lambda x: pool(x)[0], MAPS),
    }


def zero_fill_layers():
    """Zero-fill unpooling, against the article's concatenations."""
    return {
        "ours": both_ways(layers.ZeroFillUnpooling2D(), POOLED),
        "concatenate with zeros": both_ways(stock.with_zeros, POOLED),
    }


def nearest_layers():
    """Nearest unpooling: Keras' layer, which the nets use, against what else does the same."""
    size = (2 * POOLED[1], 2 * POOLED[2])
    return {
        "UpSampling2D": both_ways(keras.layers.UpSampling2D(), POOLED),
        "spread": both_ways(lambda x: layers.spread(x, 2), POOLED),
        "tf.image.resize": both_ways(lambda x: tf.image.resize(x, size, "nearest"), POOLED),
    }


def each_layer(net):
    """Each layer of a net that has one input and one output."""
    single = [
        layer
        for layer in nets.build(net).layers[1:]
        if not isinstance(layer.input, list) and not isinstance(layer.output, list)
    ]
    return {
        layer.name: both_ways(
            layer, (nets.BATCH_SIZE, *layer.input.shape[1:]), layer.trainable_variables
        )
        for layer in single
    }


def folding(net):
    """Take the package's training step with unpooling and convolution in two layers, or in one."""
    models = {"two layers": nets.build(net), "folded": fold_unpooling(nets.build(net))}
    batches = nets.batches(1)
    trainers = {name: ours.trainer(model, nets.images()) for name, model in models.items()}
    return {
        name: stopwatch(lambda train=train: train(batches), CALLS)
        for name, train in trainers.items()
    }


def report(results):
    """Return the results as text."""
    rows = [
        [group, name, milliseconds(found["seconds"]), ratio(found["ratio"])]
        for group, contenders in results.items()
        for name, found in contenders.items()
    ]
    return table(["forward and backward", "how", "time", "times the group's first"], rows)
