"""Each layer alone, forward and backward, against what else does the same."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks import nets
from benchmarks.contenders import ours, stock
from benchmarks.table import milliseconds, ratio, table
from benchmarks.timing import compare, in_turn, stopwatch, take_turns
from benchmarks.worker import Worker
from cae_lessons import layers
from cae_lessons.models import fold_unpooling

MAPS = (nets.BATCH_SIZE, 28, 28, 16)  # the first convolution's
POOLED = (nets.BATCH_SIZE, 14, 14, 16)
CALLS = 20
STEPS = 25

# Pooling and unpooling in all frameworks, each with one thread.
SHAPES = [(60, 28, 28, 16), (60, 14, 14, 32), (8, 224, 224, 64)]
POOL_SIZES = [2, 3, 4]
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "NPROC": "1",
}
WAYS = {
    "tensorflow": ["ours", "op and scatter"],
    "torch": ["ours", "contiguous", "channels last"],
    "jax": ["ours", "blocks", "window reduction"],
}
RIVALS = {  # what is compared with ours on a backend
    "tensorflow": ["tensorflow: op and scatter", "torch: contiguous", "torch: channels last"],
    "torch": ["torch: contiguous", "torch: channels last"],
    "jax": ["jax: blocks", "jax: window reduction"],
}


def measure(repeats=5):
    """Return all of it, in groups of contenders; each group's first is what ratios refer to."""
    groups = {
        "pool and unpool by argmax": argmax_layers(),
        "zero-fill": zero_fill_layers(),
        "nearest": nearest_layers(),
        "convolutions of the strided net": convolutions("strided"),
        "convolutions of the mirrored nets": convolutions("mirrored argmax"),
        "a step of the mirrored zero-fill net": folding("mirrored zero-fill"),
        "a step of the mirrored nearest net": folding("mirrored nearest"),
    }
    alone = {name: in_turn(contenders, repeats) for name, contenders in groups.items()}
    return alone | pooling_in_all_frameworks(repeats)


def pooling_in_all_frameworks(repeats):
    """Return pooling and unpooling by the package and by the frameworks' own means, in one run."""
    workers = {
        backend: Worker("pooling", KERAS_BACKEND=backend, TF_CPP_MIN_LOG_LEVEL="3", **ONE_THREAD)
        for backend in WAYS
    }
    groups = {}
    for shape in SHAPES:
        for pool_size in POOL_SIZES:
            seconds = pooling_turns(workers, shape, pool_size, repeats)
            for backend, rivals in RIVALS.items():
                found = {name: seconds[name] for name in [f"{backend}: ours", *rivals]}
                size = "×".join(map(str, shape))
                name = f"{size}, {pool_size} × {pool_size}, {backend}"
                groups[name] = compare(found, f"{backend}: ours")
    for worker in workers.values():
        worker.close()
    return groups


def pooling_turns(workers, shape, pool_size, repeats):
    """Return the seconds of each way in each framework, turn by turn."""
    calls = max(1, 2 * 10**7 // np.prod(shape))

    def watch(worker, way):
        return lambda: worker.train((way, calls))[1] / calls

    for worker in workers.values():
        worker.start(shape, pool_size)
    contenders = {
        f"{backend}: {way}": watch(workers[backend], way)
        for backend, ways in WAYS.items()
        for way in ways
    }
    take_turns(contenders, 1)
    return take_turns(contenders, repeats)


def alternatives(functions, shape, weights=()):
    """Return a stopwatch of each of several functions of maps that must do the same."""
    x = tf.random.stateless_normal(shape, (0, 0))
    expected, *others = [function(x) for function in functions.values()]
    for other in others:
        np.testing.assert_allclose(other, expected, atol=1e-4)
    return {name: both_ways(function, x, [x, *weights]) for name, function in functions.items()}


def both_ways(function, x, sources):
    """Return a stopwatch of a function of maps, and of its gradients, both compiled."""
    upstream = tf.ones_like(function(x))

    @tf.function
    def call():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, sources, upstream)

    return stopwatch(call, CALLS)


def argmax_layers():
    """Pooling that remembers where, and its inverse."""
    pool, unpool = layers.MaxPoolingWithArgmax2D(), layers.MaxUnpooling2D()
    functions = {
        "ours": lambda x: unpool(pool(x)),
        "TensorFlow's op and a scatter": lambda x: stock.scatter(stock.pool_with_argmax(x)),
    }
    return alternatives(functions, MAPS)


def zero_fill_layers():
    """Zero-fill unpooling, against the article's concatenations."""
    functions = {"ours": layers.ZeroFillUnpooling2D(), "concatenate with zeros": stock.with_zeros}
    return alternatives(functions, POOLED)


def nearest_layers():
    """Nearest unpooling: Keras' layer, which the nets use, against what else does the same."""
    size = (2 * POOLED[1], 2 * POOLED[2])
    functions = {
        "UpSampling2D": keras.layers.UpSampling2D(),
        "spread": lambda x: layers.spread(x, 2),
        "tf.image.resize": lambda x: tf.image.resize(x, size, "nearest"),
    }
    return alternatives(functions, POOLED)


def convolutions(net):
    """Each convolution of a net; the first one's input needs no gradient."""
    found = [layer for layer in nets.build(net).layers if hasattr(layer, "kernel")]
    watches = {}
    for layer in found:
        x = tf.random.stateless_normal((nets.BATCH_SIZE, *layer.input.shape[1:]), (0, 0))
        sources = layer.trainable_variables + ([] if layer is found[0] else [x])
        watches[layer.name] = both_ways(layer, x, sources)
    return watches


def folding(net):
    """Take the package's training step with unpooling and convolution in two layers, or in one."""
    model = nets.build(net)
    return {"two layers": training_step(model), "folded": training_step(fold_unpooling(model))}


def training_step(model, steps=STEPS):
    """Return a stopwatch of the package's training step, of several steps the mean."""
    train = ours.trainer(model, nets.images())
    batches = nets.batches(steps)
    watch = stopwatch(lambda: train(batches))
    return lambda: watch() / steps


def report(results):
    """Return groups of contenders as text."""
    rows = [
        [group, name, milliseconds(found["seconds"]), ratio(found["ratio"])]
        for group, contenders in results.items()
        for name, found in contenders.items()
    ]
    return table(["forward and backward", "how", "time", "times the group's first"], rows)
