"""The six nets that are compared, and the images that all of them get."""

import functools

import numpy as np

from cae_lessons import load_mnist, strided_autoencoder, unpooling_autoencoder

BATCH_SIZE = 60
IMAGES = 6_000
BUILDERS = {
    "strided": strided_autoencoder,
    "zero-fill": functools.partial(unpooling_autoencoder, "zero-fill"),
    "nearest": functools.partial(unpooling_autoencoder, "nearest"),
    **{
        f"mirrored {unpooling}": functools.partial(
            unpooling_autoencoder, unpooling, decoder_order="unpool-deconv"
        )
        for unpooling in ("zero-fill", "nearest", "argmax")
    },
}


def build(net):
    """Return the package's model of that name, the same weights every time."""
    return BUILDERS[net](seed=0)


@functools.cache
def images():
    """Return the first training images."""
    return load_mnist().train.images[:IMAGES]


def batches(steps):
    """Return the indices of each step's images, passes joined: the same every time."""
    generator = np.random.default_rng(0)
    passes = -(-steps * BATCH_SIZE // IMAGES)
    order = np.concatenate([generator.permutation(IMAGES) for _ in range(passes)])
    return order[: steps * BATCH_SIZE].reshape(steps, BATCH_SIZE)
