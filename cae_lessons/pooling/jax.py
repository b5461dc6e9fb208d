"""Pooling with places on JAX: the reference, with gradients that go by the indices.

JAX is imported by the functions, so that tools may read this module without it.
"""

from __future__ import annotations

from typing import Any

from cae_lessons.pooling import reference
from cae_lessons.pooling.windows import Windows


def pool(x: Any, windows: Windows) -> tuple[Any, Any]:
    """Return the maximum of each window, and where it was, as `reference.pool` does."""
    import jax

    if not windows.are_blocks:
        return reference.pool(x, windows)

    @jax.custom_vjp
    def differentiable(x):
        return reference.pool(x, windows)

    def forward(x):
        pooled, argmax = reference.pool(x, windows)
        return (pooled, argmax), argmax

    def backward(argmax, upstream):
        return (reference.unpool(upstream[0], argmax, windows, x.shape[1:3]),)

    differentiable.defvjp(forward, backward)
    return differentiable(x)


def unpool(pooled: Any, argmax: Any, windows: Windows, size: Any) -> Any:
    """Return images with each value where its index says, as `reference.unpool` does."""
    import jax

    if not windows.are_blocks:
        return reference.unpool(pooled, argmax, windows, size)

    @jax.custom_vjp
    def differentiable(pooled, argmax):
        return reference.unpool(pooled, argmax, windows, size)

    def forward(pooled, argmax):
        return reference.unpool(pooled, argmax, windows, size), argmax

    def backward(argmax, upstream):
        batch = len(argmax)
        found = jax.numpy.take_along_axis(
            upstream.reshape(batch, -1), argmax.reshape(batch, -1), axis=1, mode="clip"
        )
        inside = reference.in_own_window(argmax, windows, size)
        return jax.numpy.where(inside, found.reshape(argmax.shape), 0), None

    differentiable.defvjp(forward, backward)
    return differentiable(pooled, argmax)
