"""The autoencoders, each a `keras.Model` with named layers."""

import functools
import itertools
import operator

import keras
import numpy as np
from keras import ops

from cae_lessons.layers import MaxPoolingWithArgmax2D, MaxUnpooling2D, ZeroFillUnpooling2D

UNPOOLING = ("zero-fill", "nearest", "argmax")
DECODER_ORDER = ("deconv-unpool", "unpool-deconv")
HIDDEN = ("relu", "sigmoid")
OUTPUT = ("relu", "sigmoid", "linear", "logits")
KERNEL_SIZE = 5


def strided_autoencoder(
    *, hidden="relu", output="relu", decoder_bias=False, kernel_initializer=None, seed=0
):
    """Build the article's first net: strided convolutions, undone by transposed ones.

    ======================== ============= ==========================
    layer                    output shape  what it does
    ======================== ============= ==========================
    image                    28 × 28 × 1   input
    convolution_1            14 × 14 × 16  5 × 5, stride 2, relu
    code                     7 × 7 × 32    5 × 5, stride 2, relu
    transposed_convolution_1 14 × 14 × 16  5 × 5, stride 2, `hidden`
    reconstruction           28 × 28 × 1   5 × 5, stride 2, `output`
    ======================== ============= ==========================

    Parameters
    ----------
    hidden : {"relu", "sigmoid"}
        Activation of the decoder's hidden layer.  The encoder's is relu, as in the article.
    output : {"relu", "sigmoid", "linear", "logits"}
        Activation of the last layer.  `"logits"` is linear too, and the last layer is then
        *named* `logits`: `train`, `reconstruct` and `mean_squared_error` know it by that name.
    decoder_bias : bool
        Whether the decoder's layers add a bias.  The article creates such biases and never
        uses them.
    kernel_initializer : str or keras.initializers.Initializer, optional
        Of every kernel; by default a truncated normal with standard deviation 0.1.
    seed : int
        The same seed gives the same weights.

    Returns
    -------
    keras.Model
        (n, 28, 28, 1) → (n, 28, 28, 1).

    Raises
    ------
    ValueError
        An option is none of the allowed ones.

    References
    ----------
    The article's section 2.  Dumoulin and Visin, "A guide to convolution arithmetic for deep
    learning", 2016.

    Examples
    --------
    >>> strided_autoencoder().count_params()
    26448
    """
    _check("hidden", hidden, HIDDEN)
    _check("output", output, OUTPUT)
    kernels = _kernel_initializers(kernel_initializer, seed)
    image = keras.Input((28, 28, 1), name="image")
    x = _convolution(16, kernels, name="convolution_1", strides=2)(image)  # 14×14×16
    code = _convolution(32, kernels, name="code", strides=2)(x)  # 7×7×32
    deconv = functools.partial(
        _transposed_convolution, kernels=kernels, use_bias=decoder_bias, strides=2
    )
    x = deconv(16, hidden, name="transposed_convolution_1")(code)  # 14×14×16
    reconstruction = deconv(1, output, name=_output_name(output))(x)  # 28×28×1
    return keras.Model(image, reconstruction, name="strided_autoencoder")


def unpooling_autoencoder(
    unpooling,
    *,
    decoder_order="deconv-unpool",
    hidden="sigmoid",
    output="sigmoid",
    decoder_bias=False,
    kernel_initializer=None,
    seed=0,
):
    """Build an autoencoder that pools and unpools: the article's second and third net.

    The encoder is the same for all: 5 × 5 convolutions of stride 1 with relu, and max pooling.

    ============= ============ =======================
    layer         output shape what it does
    ============= ============ =======================
    image         28 × 28 × 1  input
    convolution_1 28 × 28 × 16 5 × 5, relu
    pooling_1     14 × 14 × 16 largest of 2 × 2
    convolution_2 14 × 14 × 32 5 × 5, relu
    code          7 × 7 × 32   largest of 2 × 2
    ============= ============ =======================

    The decoder's transposed convolutions, 5 × 5 and stride 1, come before the unpooling layers
    in the article (`"deconv-unpool"`) and after them in the encoder's mirror image
    (`"unpool-deconv"`):

    ======================== ============= =============
    layer                    deconv-unpool unpool-deconv
    ======================== ============= =============
    transposed_convolution_1 7 × 7 × 16    14 × 14 × 16
    unpooling_1              14 × 14 × 16  14 × 14 × 32
    transposed_convolution_2 14 × 14 × 1   28 × 28 × 1
    unpooling_2              28 × 28 × 1   28 × 28 × 16
    ======================== ============= =============

    The last layer, an unpooling or a transposed convolution, is named `reconstruction` instead
    (`logits` with `output="logits"`).

    Parameters
    ----------
    unpooling : {"zero-fill", "nearest", "argmax"}
        How a value fills its block: at the top left with zeros elsewhere, everywhere, or where
        the encoder's maximum was.  `"argmax"` needs the mirrored order.
    decoder_order : {"deconv-unpool", "unpool-deconv"}
        The article's, or the mirror of the encoder.
    hidden : {"sigmoid", "relu"}
        Activation of the decoder's hidden layer.
    output : {"sigmoid", "relu", "linear", "logits"}
        Activation of the last transposed convolution; see `strided_autoencoder`.
    decoder_bias : bool
        Whether the transposed convolutions add a bias.
    kernel_initializer : str or keras.initializers.Initializer, optional
        Of every kernel; by default a truncated normal with standard deviation 0.1.
    seed : int
        The same seed gives the same weights.

    Returns
    -------
    keras.Model
        (n, 28, 28, 1) → (n, 28, 28, 1).

    Raises
    ------
    ValueError
        An option is none of the allowed ones, or `"argmax"` is asked for in the article's order.

    References
    ----------
    The article's section 3.  Zeiler and Fergus, "Visualizing and understanding
    convolutional networks", 2014.

    Examples
    --------
    >>> unpooling_autoencoder("nearest").get_layer("transposed_convolution_2").output.shape
    (None, 14, 14, 1)
    """
    _check("unpooling", unpooling, UNPOOLING)
    _check("decoder_order", decoder_order, DECODER_ORDER)
    _check("hidden", hidden, HIDDEN)
    _check("output", output, OUTPUT)
    if unpooling == "argmax" and decoder_order == "deconv-unpool":
        raise ValueError(
            "unpooling='argmax' needs decoder_order='unpool-deconv': in the article's order the "
            "last unpooling has 1 channel, but the first pooling remembers places in 16"
        )
    kernels = _kernel_initializers(kernel_initializer, seed)
    deconv = functools.partial(_transposed_convolution, kernels=kernels, use_bias=decoder_bias)
    unpool = functools.partial(_unpool, unpooling=unpooling)
    image = keras.Input((28, 28, 1), name="image")
    x = _convolution(16, kernels, name="convolution_1")(image)  # 28×28×16
    x, where_1 = _pool(x, unpooling, name="pooling_1")  # 14×14×16
    x = _convolution(32, kernels, name="convolution_2")(x)  # 14×14×32
    x, where_2 = _pool(x, unpooling, name="code")  # 7×7×32
    last = _output_name(output)
    if decoder_order == "deconv-unpool":
        x = deconv(16, hidden, name="transposed_convolution_1")(x)  # 7×7×16
        x = unpool(x, where_2, name="unpooling_1")  # 14×14×16
        x = deconv(1, output, name="transposed_convolution_2")(x)  # 14×14×1
        x = unpool(x, where_1, name=last)  # 28×28×1
    else:
        x = unpool(x, where_2, name="unpooling_1")  # 14×14×32
        x = deconv(16, hidden, name="transposed_convolution_1")(x)  # 14×14×16
        x = unpool(x, where_1, name="unpooling_2")  # 28×28×16
        x = deconv(1, output, name=last)(x)  # 28×28×1
    return keras.Model(image, x, name=f"{unpooling}_autoencoder".replace("-", "_"))


def fold_unpooling(model):
    """Return a faster model with the same weights: unpooling and convolution in one layer.

    Zero-fill and a transposed convolution of stride 1 are one of the unpooling's stride, and so
    are nearest-neighbour resize and a transposed convolution, with a smoothed kernel.  That takes
    about a third of the products, and no large map in between.  To train the folded model trains
    the given one, which is also the one to save and to look into.

    Parameters
    ----------
    model : keras.Model
        A chain of layers, channels last.  Where no unpooling layer is followed by a transposed
        convolution of stride 1, SAME, nothing changes.

    Returns
    -------
    keras.Model
        The outputs are equal up to rounding.

    Raises
    ------
    ValueError
        The model is no chain, as argmax nets aren't: their places go another way.

    References
    ----------
    The book's chapter 6.  Shi et al., "Is the deconvolution layer the same as a convolutional
    layer?", 2016.

    Examples
    --------
    >>> model = unpooling_autoencoder("nearest", decoder_order="unpool-deconv")
    >>> len(model.layers), len(fold_unpooling(model).layers)
    (9, 7)
    """
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    if not isinstance(model, keras.Sequential) and not _is_chain(model, layers):
        raise ValueError(f"{model.name} is no chain of layers, each fed by the one before it alone")
    folded = []
    for layer in layers:
        if folded and _can_fold(folded[-1], layer):
            layer = _FoldedConvolution(folded.pop(), layer)
        folded.append(layer)
    image = x = model.inputs[0]
    for layer in folded:
        x = layer(x)
    return keras.Model(image, x, name=model.name)


def _is_chain(model, layers):
    given = [*model.inputs, *(layer.output for layer in layers)]
    taken = [*(layer.input for layer in layers), *model.outputs]
    return len(given) == len(taken) and all(map(operator.is_, given, taken))


def _can_fold(unpooling, convolution):
    if isinstance(unpooling, keras.layers.UpSampling2D):
        unpools = (unpooling.interpolation, unpooling.data_format) == ("nearest", "channels_last")
    else:
        unpools = isinstance(unpooling, ZeroFillUnpooling2D)
    plain = {
        "strides": (1, 1),
        "padding": "same",
        "dilation_rate": (1, 1),
        "output_padding": None,
        "data_format": "channels_last",
        "activity_regularizer": None,
    }
    return unpools and (
        isinstance(convolution, keras.layers.Conv2DTranspose)
        and all(getattr(convolution, name) == value for name, value in plain.items())
    )


class _FoldedConvolution(keras.layers.Layer):
    """An unpooling layer and a transposed convolution of stride 1, as one of larger stride."""

    def __init__(self, unpooling, convolution):
        super().__init__(name=convolution.name, dtype=convolution.dtype_policy)
        self.convolution = convolution
        self.activation = convolution.activation
        if isinstance(unpooling, ZeroFillUnpooling2D):
            self.pool_size, self.filled = unpooling.pool_size, [(0, 0)]
        else:
            self.pool_size, self.filled = unpooling.size, list(np.ndindex(unpooling.size))

    def call(self, x):
        """Convolve `x` with the kernel as it is at each filled place of a block, summed up."""
        rows, columns = self.pool_size
        margins = [(i, rows - 1 - i, j, columns - 1 - j) for i, j in self.filled]
        kernel = sum(
            ops.pad(self.convolution.kernel, [(top, bottom), (left, right), (0, 0), (0, 0)])
            for top, bottom, left, right in margins
        )
        x = ops.conv_transpose(x, kernel, self.pool_size, "same", data_format="channels_last")
        return self.activation(x + self.convolution.bias if self.convolution.use_bias else x)


def gives_logits(model):
    """Whether a model's output is logits, that is, whether its last layer is named `logits`.

    Examples
    --------
    >>> gives_logits(strided_autoencoder(output="logits"))
    True
    """
    return model.layers[-1].name == "logits"


def _output_name(output):
    return "logits" if output == "logits" else "reconstruction"


def _pool(x, unpooling, name):
    """Return the pooled maps, and the indices of the maxima where they will be needed."""
    if unpooling == "argmax":
        return MaxPoolingWithArgmax2D(name=name)(x)
    return keras.layers.MaxPooling2D(name=name)(x), None


def _unpool(x, where, *, unpooling, name):
    if unpooling == "argmax":
        return MaxUnpooling2D(name=name)([x, where])
    layer = ZeroFillUnpooling2D if unpooling == "zero-fill" else keras.layers.UpSampling2D
    return layer(name=name)(x)


def _convolution(filters, kernels, *, name, strides=1):
    return keras.layers.Conv2D(
        filters,
        KERNEL_SIZE,
        strides=strides,
        padding="same",
        activation="relu",
        kernel_initializer=next(kernels),
        bias_initializer=keras.initializers.Constant(0.1),
        name=name,
    )


def _transposed_convolution(filters, activation, *, kernels, use_bias, name, strides=1):
    return keras.layers.Conv2DTranspose(
        filters,
        KERNEL_SIZE,
        strides=strides,
        padding="same",
        activation="linear" if activation == "logits" else activation,
        use_bias=use_bias,
        kernel_initializer=next(kernels),
        bias_initializer=keras.initializers.Constant(0.1),
        name=name,
    )


def _kernel_initializers(initializer, seed):
    """Yield one initializer a layer: seeded alike, two layers would start with equal numbers."""
    if initializer is None:
        initializer = keras.initializers.TruncatedNormal(stddev=0.1)
    initializer = keras.initializers.get(initializer)
    config = initializer.get_config() if hasattr(initializer, "get_config") else {}
    unseeded = "seed" in config and config["seed"] is None
    for layer_seed in itertools.count(100 * operator.index(seed)):
        if unseeded:
            yield type(initializer).from_config({**config, "seed": layer_seed})
        else:
            yield initializer


def _check(name, value, allowed):
    if value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{name}={value!r}, expected one of {choices}")
