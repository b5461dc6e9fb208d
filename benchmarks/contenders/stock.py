"""Keras as its guides show it: stock layers, `compile` and `fit`, with their defaults or tuned."""

import os

import keras
import tensorflow as tf

from benchmarks.contenders import EPSILON, LEARNING_RATE, describe


def start(net, weights, images):
    """Return `train(batches)` by `fit`."""
    model = build(net)
    model.set_weights(weights)
    model.compile(
        keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON),
        "mse",
        steps_per_execution=int(os.environ.get("STEPS_PER_EXECUTION", "1")),
    )

    def train(batches):
        x = images[batches.ravel()]
        epoch = model.fit(x, x, batch_size=batches.shape[1], shuffle=False, verbose=0)
        return epoch.history["loss"][0]

    return train


def build(net):
    """Build one of the six nets."""
    image = keras.Input((28, 28, 1))
    unpooling, mirrored = describe(net)
    output = strided(image) if net == "strided" else unpooled(image, unpooling, mirrored)
    return keras.Model(image, output)


def strided(image):
    """Return the output of the strided net."""
    x = convolution(16, strides=2)(image)
    x = convolution(32, strides=2)(x)
    x = transposed_convolution(16, "relu", strides=2)(x)
    return transposed_convolution(1, "relu", strides=2)(x)


def unpooled(image, unpooling, mirrored):
    """Return the output of a net that pools and unpools."""
    pool, unpool = UNPOOLING[unpooling]
    x, where_1 = pool(convolution(16)(image))
    x, where_2 = pool(convolution(32)(x))
    if mirrored:
        x = transposed_convolution(16, "sigmoid")(unpool(x, where_2))
        return transposed_convolution(1, "sigmoid")(unpool(x, where_1))
    x = unpool(transposed_convolution(16, "sigmoid")(x), where_2)
    return unpool(transposed_convolution(1, "sigmoid")(x), where_1)


def convolution(filters, strides=1):
    """Return a 5 × 5 convolution with relu."""
    return keras.layers.Conv2D(filters, 5, strides, padding="same", activation="relu")


def transposed_convolution(filters, activation, strides=1):
    """Return a 5 × 5 transposed convolution without bias."""
    return keras.layers.Conv2DTranspose(
        filters, 5, strides, padding="same", activation=activation, use_bias=False
    )


def max_pool(x):
    """Return the maxima of 2 × 2 windows, and no indices."""
    return keras.layers.MaxPooling2D()(x), None


def nearest(x, where=None):
    """Fill each 2 × 2 block with its value."""
    return keras.layers.UpSampling2D()(x)


def zero_fill(x, where=None):
    """Put each value to the top left of its block as the article does it, by concatenation."""
    _, height, width, channels = x.shape
    return keras.layers.Lambda(with_zeros, (2 * height, 2 * width, channels))(x)


def with_zeros(x):
    """Concatenate with zeros along channels, then along width, and reshape."""
    _, height, width, channels = x.shape
    x = tf.concat([x, tf.zeros_like(x)], -1)
    x = tf.concat([x, tf.zeros_like(x)], 2)
    return tf.reshape(x, (-1, 2 * height, 2 * width, channels))


def argmax_pool(x):
    """Return the maxima of 2 × 2 windows and their indices, by TensorFlow's own op."""
    _, height, width, channels = x.shape
    shape = (height // 2, width // 2, channels)
    return keras.layers.Lambda(pool_with_argmax, (shape, shape))(x)


def pool_with_argmax(x):
    """Call TensorFlow's op, with indices that count within one image."""
    return tf.nn.max_pool_with_argmax(x, 2, 2, "SAME")


def argmax_unpool(x, where):
    """Scatter the values to where the maxima were."""
    _, height, width, channels = x.shape
    return keras.layers.Lambda(scatter, (2 * height, 2 * width, channels))([x, where])


def scatter(inputs):
    """Put each value where its index says, with one scatter over the whole batch."""
    x, where = inputs
    _, height, width, channels = x.shape
    batch, size = tf.shape(x)[0], 4 * height * width * channels
    image = tf.range(tf.cast(batch, where.dtype))[:, None, None, None]
    indices = tf.reshape(where + image * size, (-1, 1))
    flat = tf.scatter_nd(indices, tf.reshape(x, (-1,)), [tf.cast(batch, where.dtype) * size])
    return tf.reshape(flat, (batch, 2 * height, 2 * width, channels))


UNPOOLING = {
    "zero-fill": (max_pool, zero_fill),
    "nearest": (max_pool, nearest),
    "argmax": (argmax_pool, argmax_unpool),
}
