"""Two convolutions and two transposed ones, of any width, to see how the package's loop grows."""

import keras

from benchmarks.contenders import ours


def start(channels, weights, images):
    """Return `train(batches)` of a small autoencoder; `weights` are Keras' own."""
    return ours.trainer(build(images.shape[1:], channels), images)


def build(shape, channels):
    """Build an autoencoder like the strided one, with `channels` and twice as many maps."""
    settings = {"kernel_size": 5, "strides": 2, "padding": "same"}
    image = keras.Input(shape)
    x = keras.layers.Conv2D(channels, activation="relu", **settings)(image)
    x = keras.layers.Conv2D(2 * channels, activation="relu", **settings)(x)
    x = keras.layers.Conv2DTranspose(channels, activation="relu", **settings)(x)
    x = keras.layers.Conv2DTranspose(shape[-1], activation="sigmoid", **settings)(x)
    return keras.Model(image, x)
