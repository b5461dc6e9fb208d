"""The six nets that are compared, and the images that all of them get."""

import functools

import numpy as np

from cae_lessons import load_mnist, strided_autoencoder, unpooling_autoencoder

BATCH_SIZE = 60
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
def images(count=6_000):
    """Return the first training images."""
    return load_mnist().train.images[:count]


def batches(steps, batch_size=BATCH_SIZE, count=6_000):
    """Return the indices of each step's images, passes joined: the same every time."""
    generator = np.random.default_rng(0)
    passes = -(-steps * batch_size // count)
    order = np.concatenate([generator.permutation(count) for _ in range(passes)])
    return order[: steps * batch_size].reshape(steps, batch_size)
