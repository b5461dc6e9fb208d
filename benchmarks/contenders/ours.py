"""The package: its models, and the compiled loop of its `train`."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks import nets
from benchmarks.contenders import EPSILON, LEARNING_RATE
from cae_lessons import training

MOST_STEPS = 1_000_000


def start(net, weights, images):
    """Return `train(batches)` of the package."""
    model = nets.build(net)
    model.set_weights(weights)
    return trainer(model, images)


def trainer(model, images):
    """Return `train(batches)` for a model: what `cae_lessons.train` does, ready to go on."""
    history = tf.Variable(tf.zeros(MOST_STEPS))
    optimizer = keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON)
    loss = training.loss_of(model, "mse")
    loop = training._compiled_loop(model, optimizer, tf.constant(images), loss, history)

    def train(batches):
        first = int(optimizer.iterations)
        training._run(loop, batches, history, progress=False, before_step=None)
        return float(np.mean(history[first : first + len(batches)]))

    return train
