"""Plain NumPy loops, written from the definitions: what the package is tested against."""

import struct

import numpy as np

HANGING = 60 * 60  # seconds after which a test doesn't wait any longer, far more than load takes


def idx_bytes(array):
    """Encode a uint8 array as an IDX file."""
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def same_padding(size, kernel_size, stride):
    """Return how many zeros SAME puts before an axis, and how many after it."""
    steps = -(-size // stride)
    total = max((steps - 1) * stride + kernel_size - size, 0)
    return total // 2, total - total // 2


def convolution(image, kernel, stride):
    """Convolve (height, width, in) with (5, 5, in, out), SAME."""
    size = kernel.shape[0]
    padding = [same_padding(length, size, stride) for length in image.shape[:2]]
    padded = np.pad(image, [*padding, (0, 0)])
    height, width = (-(-length // stride) for length in image.shape[:2])
    result = np.zeros((height, width, kernel.shape[3]))
    for y in range(height):
        for x in range(width):
            window = padded[y * stride : y * stride + size, x * stride : x * stride + size]
            result[y, x] = np.einsum("yxi,yxio->o", window, kernel)
    return result


def transposed_convolution(image, kernel, stride):
    """Stamp each pixel of (height, width, in) times (5, 5, out, in), SAME."""
    size = kernel.shape[0]
    height, width = (stride * length for length in image.shape[:2])
    top, bottom = same_padding(height, size, stride)
    left, right = same_padding(width, size, stride)
    padded = np.zeros((height + top + bottom, width + left + right, kernel.shape[2]))
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            stamp = np.einsum("yxoi,i->yxo", kernel, image[y, x])
            padded[y * stride : y * stride + size, x * stride : x * stride + size] += stamp
    return padded[top : top + height, left : left + width]


def relu(x):
    return np.where(x > 0, x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def linear(x):
    return x


ACTIVATIONS = {"relu": relu, "sigmoid": sigmoid, "linear": linear, "logits": linear}


def strided_autoencoder(image, weights, hidden="relu", output="relu"):
    """Return what the article's first net makes of one image, from `weights` without biases
    in the decoder."""
    kernel_1, bias_1, kernel_2, bias_2, kernel_3, kernel_4 = weights
    x = relu(convolution(image, kernel_1, 2) + bias_1)
    x = relu(convolution(x, kernel_2, 2) + bias_2)
    x = ACTIVATIONS[hidden](transposed_convolution(x, kernel_3, 2))
    return ACTIVATIONS[output](transposed_convolution(x, kernel_4, 2))


def copying_weights():
    """Return weights with which the relu net copies its input exactly.

    Each convolution of stride 2 sorts the pixels of each 2×2 block into four maps, each
    transposed one puts them back.  SAME pads one zero before, so the pixel (i, j) of a block
    meets the kernel entry (i + 1, j + 1).  Map 4c + 2i + j of the code is the pixel (i, j) of
    map c; the other 16 maps of the code stay 0.
    """
    outer, inner = np.zeros((5, 5, 1, 16)), np.zeros((5, 5, 16, 32))
    for i in range(2):
        for j in range(2):
            outer[i + 1, j + 1, 0, 2 * i + j] = 1
            for c in range(4):
                inner[i + 1, j + 1, c, 4 * c + 2 * i + j] = 1
    return [outer, np.zeros(16), inner, np.zeros(32), inner, outer]


class Adam:
    """Kingma and Ba's algorithm 1, with the ε of the paper's efficient form."""

    def __init__(self, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.learning_rate, self.epsilon = learning_rate, epsilon
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.time, self.first, self.second = 0, {}, {}

    def step(self, weights, gradients):
        """Return the updated weights."""
        self.time += 1
        correction = np.sqrt(1 - self.beta_2**self.time) / (1 - self.beta_1**self.time)
        updated = []
        for key, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
            first = self.first.get(key, 0.0)
            second = self.second.get(key, 0.0)
            self.first[key] = self.beta_1 * first + (1 - self.beta_1) * gradient
            self.second[key] = self.beta_2 * second + (1 - self.beta_2) * gradient**2
            change = self.first[key] / (np.sqrt(self.second[key]) + self.epsilon)
            updated.append(weight - self.learning_rate * correction * change)
        return updated
