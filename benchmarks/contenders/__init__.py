"""The same training step in several frameworks, one module each.

Each module offers `start(net, weights, images)`, which returns `train(batches)`: the
net is trained on these batches, and their mean loss returned.  `net` is a name as in
`benchmarks.nets`, `weights` what Keras' `get_weights` gives, `images` an array (n, height, width,
channels), `batches` an array (steps, batch size) of indices into them.

None imports another, nor the package, but for `ours` and what builds on it: importing the package
sets how TensorFlow computes.
"""

LEARNING_RATE = 0.01
EPSILON = 1e-8  # Adam's


def describe(net):
    """Return a net's unpooling, and whether its decoder mirrors the encoder.

    Examples
    --------
    >>> describe("mirrored argmax")
    ('argmax', True)
    """
    return net.removeprefix("mirrored "), net.startswith("mirrored ")
