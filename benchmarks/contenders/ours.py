"""The package: its models, and the compiled loop of its `train`."""

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from benchmarks import nets
from benchmarks.contenders import EPSILON, LEARNING_RATE
from cae_lessons import training
from cae_lessons.cores import parts_of_a_batch

MOST_STEPS = 1_000_000


def start(net, weights, images):
    """Return `train(batches)` of the package."""
    model = nets.build(net)
    model.set_weights(weights)
    return trainer(model, images)


def trainer(model, images):
    """Return `train(batches)` for a model: what `cae_lessons.train` does, ready to go on."""
    optimizer = keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON)
    optimizer.build(model.trainable_variables)
    images = tf.constant(images)

    def take(batch):
        x = tf.gather(images, batch)
        return x, x

    parts = parts_of_a_batch(model, nets.BATCH_SIZE)
    loop = training.Loop(model, optimizer, take, "mse", MOST_STEPS, parts)

    def train(batches):
        first = int(optimizer.iterations)
        with tqdm(disable=True) as bar:
            training._run(loop, batches, 0, bar, before_step=None)
        return float(np.mean(loop.losses()[first:]))

    return train
