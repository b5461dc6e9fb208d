"""The arithmetic of pooling with places, without layers: images in, images out.

`reference` defines it with `keras.ops`, for every backend.  The other modules stand in for it on
one backend each, where that is faster, and are tested against it.  All have the same functions:

======================================== ==================================================
`pool(x, windows)`                       the maxima and their indices
`unpool(pooled, argmax, windows, size)`  an image with each maximum at its index
======================================== ==================================================

Images are (batch, height, width, channels); any of the first three may be unknown.
"""
