"""PyTorch: channels last, its own unpooling, and Adam fused into one kernel.

`PYTORCH_MODE` says how: `eager`; `compiled`, where there is a C++ compiler; or `halves`, in which
two threads each do half a batch.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch.nn import functional

from benchmarks.contenders import EPSILON, LEARNING_RATE, describe


def start(net, weights, images):
    """Return `train(batches)` by PyTorch's usual loop."""
    torch.set_flush_denormal(True)  # as TensorFlow does: dying nets make tiny numbers
    parameters = [from_keras(weight) for weight in weights]
    optimizer = torch.optim.Adam(parameters, LEARNING_RATE, eps=EPSILON, fused=True)
    images = torch.from_numpy(np.moveaxis(images, -1, 1))
    backward = MODES[os.environ.get("PYTORCH_MODE", "eager")](net, parameters)

    def train(batches):
        total = torch.zeros(())
        for batch in torch.from_numpy(batches):
            x = images[batch].contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            total += backward(x)
            optimizer.step()
        return float(total) / len(batches)

    return train


def eager(net, parameters):
    """Return a function that computes the gradients of one batch, and returns its loss."""

    def backward(x):
        loss = functional.mse_loss(autoencoder(x, parameters, net), x)
        loss.backward()
        return loss.detach()

    return backward


def compiled(net, parameters):
    """Return `eager`'s function with the net and its loss compiled."""

    @torch.compile
    def loss_of(x):
        return functional.mse_loss(autoencoder(x, parameters, net), x)

    def backward(x):
        loss = loss_of(x)
        loss.backward()
        return loss.detach()

    return backward


def halves(net, parameters):
    """Return `eager`'s function with two halves of the batch in two threads."""
    pool = ThreadPoolExecutor(2)

    def half(x):
        torch.set_num_threads(1)  # counts for the thread that calls it
        loss = functional.mse_loss(autoencoder(x, parameters, net), x)
        return loss.detach(), torch.autograd.grad(loss, parameters)

    def backward(x):
        (one, gradients), (other, others) = pool.map(half, x.chunk(2))
        for parameter, *both in zip(parameters, gradients, others, strict=True):
            parameter.grad = (both[0] + both[1]) / 2
        return (one + other) / 2

    return backward


MODES = {"eager": eager, "compiled": compiled, "halves": halves}


def from_keras(weight):
    """Return a kernel or bias of Keras as a parameter of PyTorch.

    (height, width, in, out) becomes (out, in, height, width).  A transposed convolution's axes are
    in both frameworks those of the convolution that it transposes.
    """
    weight = torch.from_numpy(np.transpose(weight, (3, 2, 0, 1)) if weight.ndim == 4 else weight)
    layout = torch.channels_last if weight.ndim == 4 else torch.contiguous_format
    return weight.clone(memory_format=layout).requires_grad_()


def autoencoder(x, parameters, net):
    """Return one of the six nets' output for images (n, channels, height, width)."""
    unpooling, mirrored = describe(net)
    *encoder, kernel_3, kernel_4 = parameters
    if net == "strided":
        x = strided_encoder(x, encoder)
        x = transposed(x, kernel_3, stride=2).relu()
        return transposed(x, kernel_4, stride=2).relu()
    x, where_1, where_2 = pooling_encoder(x, encoder, with_indices=unpooling == "argmax")
    unpool = UNPOOLING[unpooling]
    if mirrored:
        x = transposed(unpool(x, where_2), kernel_3).sigmoid()
        return transposed(unpool(x, where_1), kernel_4).sigmoid()
    x = unpool(transposed(x, kernel_3).sigmoid(), where_2)
    return unpool(transposed(x, kernel_4).sigmoid(), where_1)


def strided_encoder(x, parameters):
    """Return the code of the strided net.

    SAME padding is one pixel before the image and two after, which no convolution of PyTorch does
    by itself.
    """
    kernel_1, bias_1, kernel_2, bias_2 = parameters
    x = functional.conv2d(functional.pad(x, (1, 2, 1, 2)), kernel_1, bias_1, stride=2).relu()
    return functional.conv2d(functional.pad(x, (1, 2, 1, 2)), kernel_2, bias_2, stride=2).relu()


def pooling_encoder(x, parameters, with_indices):
    """Return the code of the other nets, and where the maxima of both poolings were."""
    kernel_1, bias_1, kernel_2, bias_2 = parameters
    x = functional.conv2d(x, kernel_1, bias_1, padding=2).relu()
    x, where_1 = max_pool(x, with_indices)
    x = functional.conv2d(x, kernel_2, bias_2, padding=2).relu()
    x, where_2 = max_pool(x, with_indices)
    return x, where_1, where_2


def max_pool(x, with_indices):
    """Return the maxima of 2 × 2 windows, and their indices where they are asked for."""
    pooled = functional.max_pool2d(x, 2, return_indices=with_indices)
    return pooled if with_indices else (pooled, None)


def transposed(x, kernel, stride=1):
    """Transpose a convolution with SAME padding: with stride 2 one pixel before and two after."""
    if stride == 1:
        return functional.conv_transpose2d(x, kernel, padding=2)
    return functional.conv_transpose2d(x, kernel, stride=2, padding=1)[:, :, :-1, :-1]


def zero_fill(x, where):
    """Put each value to the top left of its 2 × 2 block."""
    count, channels, height, width = x.shape
    shape = (count, channels, 2 * height, 2 * width)
    unpooled = torch.empty(shape, memory_format=torch.channels_last).zero_()
    unpooled[:, :, ::2, ::2] = x
    return unpooled


def nearest(x, where):
    """Fill each 2 × 2 block with its value."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def argmax(x, where):
    """Put each value where its maximum was."""
    return functional.max_unpool2d(x, where, 2)


UNPOOLING = {"zero-fill": zero_fill, "nearest": nearest, "argmax": argmax}
