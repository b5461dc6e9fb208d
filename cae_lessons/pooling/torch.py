"""Pooling with places on PyTorch: its own functions, which run on images with channels first.

PyTorch is imported by the functions, so that tools may read this module without it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cae_lessons.pooling import reference
from cae_lessons.pooling.windows import Windows


def pool(x: Any, windows: Windows) -> tuple[Any, Any]:
    """Return the maximum of each window, and where it was, as `reference.pool` does."""
    import torch

    count = windows.count(x.shape[1:3])
    overhang = windows.overhang(x.shape[1:3], count)
    if torch.compiler.is_compiling() or _count(x.shape[1:3], windows, overhang) != count:
        return reference.pool(x, windows)
    pooled, place = torch.nn.functional.max_pool2d(
        x.permute(0, 3, 1, 2),  # no copy
        windows.size,
        windows.strides,
        padding=[before for before, _ in overhang],
        ceil_mode=_overhangs(overhang),
        return_indices=True,
    )
    # PyTorch makes NaN of every window that has one, and a sum of it.
    if bool(pooled.detach().sum().isnan()):
        return reference.pool(x, windows)
    channels = x.shape[-1]
    channel = torch.arange(channels, device=x.device).reshape(-1, 1, 1)
    argmax = torch.add(channel, place, alpha=channels).to(torch.int32)
    return pooled.permute(0, 2, 3, 1), argmax.permute(0, 2, 3, 1)


def unpool(pooled: Any, argmax: Any, windows: Windows, size: Any) -> Any:
    """Return images with each value where its index says, as `reference.unpool` does."""
    import torch

    if torch.compiler.is_compiling() or not windows.are_blocks:
        return reference.unpool(pooled, argmax, windows, size)
    batch, _, _, channels = pooled.shape
    shape = (batch, *size, channels)
    flat = pooled.new_zeros((batch, int(np.prod(shape[1:]))))
    index = argmax.reshape(batch, -1).long()
    return flat.scatter(1, index, pooled.reshape(batch, -1)).reshape(shape)


def _overhangs(overhang):
    return any(after for _, after in overhang)


def _count(image_size, windows, overhang):
    """Return how many windows PyTorch would count, whose margins before and after are equal."""
    counts = []
    for axis, size in enumerate(image_size):
        before, step = overhang[axis][0], windows.strides[axis]
        rest = size + 2 * before - windows.size[axis] + (step - 1) * _overhangs(overhang)
        last_begins_in_margin = rest // step * step >= size + before
        counts.append(rest // step + 1 - (_overhangs(overhang) and last_begins_in_margin))
    return tuple(counts)
