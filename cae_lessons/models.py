"""The autoencoders, each a `keras.Model` with named layers."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from cae_lessons.layers import MaxPoolingWithArgmax2D, MaxUnpooling2D, ZeroFillUnpooling2D

UNPOOLING = ("zero-fill", "nearest", "argmax")
DECODER_ORDER = ("deconv-unpool", "unpool-deconv")
HIDDEN = ("relu", "leaky_relu", "sigmoid")
OUTPUT = ("relu", "leaky_relu", "sigmoid", "linear", "logits")
KERNEL_SIZE = 5
DATA_FORMAT = "channels_last"  # said to every layer: the user's keras.json may say otherwise

Initializer = str | keras.initializers.Initializer


def strided_autoencoder(
    *,
    hidden: str = "relu",
    output: str = "relu",
    decoder_bias: bool = False,
    output_bias: float | None = None,
    kernel_initializer: Initializer | None = None,
    seed: int = 0,
) -> keras.Model:
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
    hidden : {"relu", "leaky_relu", "sigmoid"}
        Activation of the decoder's hidden layer.  The encoder's is relu, as in the article.  A
        leaky relu multiplies what is below 0 by 0.2, Keras' own slope.
    output : {"relu", "leaky_relu", "sigmoid", "linear", "logits"}
        Activation of the last layer.  `"logits"` is linear too, and the last layer is then
        *named* `logits`: `train`, `reconstruct` and `mean_squared_error` know it by that name.
    decoder_bias : bool
        Whether the decoder's layers add a bias.  The article creates such biases and never
        uses them.
    output_bias : float, optional
        Give the last transposed convolution a bias that starts at this value, whatever
        `decoder_bias` says.  The logit of the mean pixel, about −1.9, makes sigmoid pictures
        start where the images are on average.
    kernel_initializer : str or keras.initializers.Initializer, optional
        Of every kernel, by its name in Keras, such as `"glorot_uniform"` or `"he_normal"`, or
        itself; by default a truncated normal with standard deviation 0.1.
    seed : int
        The same seed gives the same weights.

    Returns
    -------
    keras.Model
        (n, 28, 28, 1) → (n, 28, 28, 1).

    Raises
    ------
    ValueError
        An option isn't one of the allowed ones, which the error names.

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
    last = deconv(1, output, start=output_bias, name=_output_name(output))
    reconstruction = last(x)  # 28×28×1
    return keras.Model(image, reconstruction, name="strided_autoencoder")


def unpooling_autoencoder(
    unpooling: str,
    *,
    decoder_order: str = "deconv-unpool",
    hidden: str = "sigmoid",
    output: str = "sigmoid",
    decoder_bias: bool = False,
    output_bias: float | None = None,
    kernel_initializer: Initializer | None = None,
    seed: int = 0,
) -> keras.Model:
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
    hidden : {"sigmoid", "relu", "leaky_relu"}
        Activation of the decoder's hidden layer; see `strided_autoencoder`.
    output : {"sigmoid", "relu", "leaky_relu", "linear", "logits"}
        Activation of the last transposed convolution; see `strided_autoencoder`.
    decoder_bias : bool
        Whether the transposed convolutions add a bias.
    output_bias : float, optional
        Give the last transposed convolution a bias that starts at this value; see
        `strided_autoencoder`.
    kernel_initializer : str or keras.initializers.Initializer, optional
        Of every kernel, by its name in Keras, such as `"glorot_uniform"` or `"he_normal"`, or
        itself; by default a truncated normal with standard deviation 0.1.
    seed : int
        The same seed gives the same weights.

    Returns
    -------
    keras.Model
        (n, 28, 28, 1) → (n, 28, 28, 1).

    Raises
    ------
    ValueError
        An option isn't one of the allowed ones, or `"argmax"` is asked for in the article's order.

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
        x = deconv(1, output, start=output_bias, name="transposed_convolution_2")(x)  # 14×14×1
        x = unpool(x, where_1, name=last)  # 28×28×1
    else:
        x = unpool(x, where_2, name="unpooling_1")  # 14×14×32
        x = deconv(16, hidden, name="transposed_convolution_1")(x)  # 14×14×16
        x = unpool(x, where_1, name="unpooling_2")  # 28×28×16
        x = deconv(1, output, start=output_bias, name=last)(x)  # 28×28×1
    return keras.Model(image, x, name=f"{unpooling}_autoencoder".replace("-", "_"))


def narrow_autoencoder(
    code_size: int | None = None,
    *,
    code_channels: int | None = None,
    hidden: str = "relu",
    output: str = "sigmoid",
    decoder_bias: bool = True,
    output_bias: float | None = None,
    kernel_initializer: Initializer = "glorot_uniform",
    seed: int = 0,
) -> keras.Model:
    """Build a strided autoencoder with a small code, of numbers or of 7 × 7 maps.

    ======================== ==================== =================== =========================
    layer                    with `code_size` = k with                what it does
                                                  `code_channels` = c
    ======================== ==================== =================== =========================
    image                    28 × 28 × 1          28 × 28 × 1         input
    convolution_1            14 × 14 × 16         14 × 14 × 16        5 × 5, stride 2, relu
    convolution_2            7 × 7 × 32           7 × 7 × 32          5 × 5, stride 2, relu
    code                     k                    7 × 7 × c           dense or 1 × 1, linear
    expansion                7 · 7 · 32           7 × 7 × 32          dense or 1 × 1, `hidden`
    transposed_convolution_1 14 × 14 × 16         14 × 14 × 16        5 × 5, stride 2, `hidden`
    reconstruction           28 × 28 × 1          28 × 28 × 1         5 × 5, stride 2, `output`
    ======================== ==================== =================== =========================

    The net isn't in the article.  Its defaults are those that train well: relus, biases, the
    Glorot initializer; train it with a learning rate of 0.001.

    Parameters
    ----------
    code_size : int, optional
        How many numbers the code of one image has, from 0 to 784.  With 0 the decoder gets a
        constant 0 instead and knows nothing of the image: with biases, it learns one picture.
    code_channels : int, optional
        Instead of `code_size`: how many maps of 7 × 7 the code has, from 1 to 32.
    hidden : {"relu", "leaky_relu", "sigmoid"}
        Activation of the decoder's hidden layers; see `strided_autoencoder`.
    output : {"sigmoid", "relu", "leaky_relu", "linear", "logits"}
        Activation of the last layer; see `strided_autoencoder`.
    decoder_bias : bool
        Whether the layers after the code add a bias.
    output_bias : float, optional
        Give the last transposed convolution a bias that starts at this value; see
        `strided_autoencoder`.
    kernel_initializer : str or keras.initializers.Initializer
        Of every kernel, by its name in Keras or itself.
    seed : int
        The same seed gives the same weights.

    Returns
    -------
    keras.Model
        (n, 28, 28, 1) → (n, 28, 28, 1).

    Raises
    ------
    ValueError
        An option isn't one of the allowed ones, or not exactly one of `code_size` and
        `code_channels` is given.

    References
    ----------
    The book's chapter 11.  Hinton and Salakhutdinov, "Reducing the dimensionality of data with
    neural networks", 2006.

    Examples
    --------
    >>> narrow_autoencoder(32).get_layer("code").output.shape
    (None, 32)
    >>> narrow_autoencoder(code_channels=2).get_layer("code").output.shape
    (None, 7, 7, 2)
    """
    _check("hidden", hidden, HIDDEN)
    _check("output", output, OUTPUT)
    if (code_size is None) == (code_channels is None):
        raise ValueError("give either code_size or code_channels, and not both")
    kernels = _kernel_initializers(kernel_initializer, seed)
    deconv = functools.partial(
        _transposed_convolution, kernels=kernels, use_bias=decoder_bias, strides=2
    )
    image = keras.Input((28, 28, 1), name="image")
    x = _convolution(16, kernels, name="convolution_1", strides=2)(image)  # 14×14×16
    x = _convolution(32, kernels, name="convolution_2", strides=2)(x)  # 7×7×32
    if code_channels is None:
        x = _dense_code(
            x, _checked_size("code_size", code_size, 0, 784), hidden, decoder_bias, kernels
        )
    else:
        x = _code_of_maps(
            x, _checked_size("code_channels", code_channels, 1, 32), hidden, decoder_bias, kernels
        )
    x = deconv(16, hidden, name="transposed_convolution_1")(x)  # 14×14×16
    x = deconv(1, output, start=output_bias, name=_output_name(output))(x)  # 28×28×1
    return keras.Model(image, x, name="narrow_autoencoder")


def encoder_and_decoder(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Return the two halves of an autoencoder: from images to codes, and from codes to pictures.

    Parameters
    ----------
    model : keras.Model
        A chain of layers, one of them named `code`.

    Returns
    -------
    encoder, decoder : keras.Model
        Both use the model's weights.  The decoder's output is the model's: logits, if it gives
        logits.

    Raises
    ------
    ValueError
        The model has no layer named `code`, or isn't a chain of layers: the decoder of an argmax
        net needs more than the code.

    Examples
    --------
    >>> encoder, decoder = encoder_and_decoder(narrow_autoencoder(2))
    >>> encoder.output.shape, decoder.output.shape
    ((None, 2), (None, 28, 28, 1))
    """
    calls = _chain(model)
    names = [layer.name for layer, _ in calls]
    if "code" not in names:
        raise ValueError(f"{model.name} has no layer named 'code', only {', '.join(names)}")
    end = names.index("code") + 1
    x = image = model.inputs[0]
    for layer, options in calls[:end]:
        x = layer(x, **options)
    code = y = keras.Input(x.shape[1:], name="code")
    for layer, options in calls[end:]:
        y = layer(y, **options)
    return (
        keras.Model(image, x, name=f"{model.name}_encoder"),
        keras.Model(code, y, name=f"{model.name}_decoder"),
    )


def residual(model: keras.Model) -> keras.Model:
    """Return a model that adds its input to its output, and so only has to learn the difference.

    Parameters
    ----------
    model : keras.Model
        From images to pictures of the same shape.  Its last layer should be linear: what is to be
        added can be negative.

    Returns
    -------
    keras.Model
        With the model's own layers and weights, and one more layer, `reconstruction_with_input`.

    Raises
    ------
    ValueError
        The model's output hasn't the shape of its input.

    References
    ----------
    Zhang et al., "Beyond a Gaussian denoiser: residual learning of deep CNN for image denoising",
    2017.

    Examples
    --------
    >>> model = residual(strided_autoencoder(output="linear"))
    >>> model.layers[-1].name
    'reconstruction_with_input'
    """
    image, difference = model.inputs[0], model.outputs[0]
    if image.shape != difference.shape:
        raise ValueError(
            f"the output of {model.name} must have its input's shape, {image.shape[1:]}, got "
            f"{difference.shape[1:]}"
        )
    both = keras.layers.Add(name="reconstruction_with_input")([image, difference])
    return keras.Model(image, both, name=f"residual_{model.name}")


def fold_unpooling(model: keras.Model) -> keras.Model:
    """Return a faster model with the same weights: unpooling and convolution in one layer.

    Zero-fill and a transposed convolution of stride 1 are one of the unpooling's stride, and so
    are nearest-neighbour resize and a transposed convolution, with a smoothed kernel.  That takes
    about a third of the products, and no large map in between.  To train the folded model trains
    the given one too, because both use the same weights.  Once saved and loaded, cloned or
    copied, the folded model has weights of its own.

    Parameters
    ----------
    model : keras.Model
        A chain of layers, sequential or functional.  Models within it are taken as the layers
        that they are made of.  Pairs that can't be one layer stay as they are: where the
        convolution has a stride or isn't SAME, where the channels come first, where the two
        compute in different precision, or where a subclass has its own `call`.

    Returns
    -------
    keras.Model
        Its outputs are those of the given model, up to rounding.

    Raises
    ------
    ValueError
        The model is not a chain: argmax nets aren't, because their indices bypass the layers
        between.

    References
    ----------
    The book's chapter 7.  Shi et al., "Is the deconvolution layer the same as a convolutional
    layer?", 2016.

    Examples
    --------
    >>> model = unpooling_autoencoder("nearest", decoder_order="unpool-deconv")
    >>> len(model.layers), len(fold_unpooling(model).layers)
    (9, 7)
    """
    calls = _chain(model)
    if len({id(layer) for layer, _ in calls}) < len(calls):
        raise _not_a_chain(model, "it uses a layer twice")
    folded = []
    for layer, options in calls:
        if folded and not options and not folded[-1][1] and _can_fold(folded[-1][0], layer):
            layer = _FoldedConvolution.of(folded.pop()[0], layer)
        folded.append((layer, options))
    image = x = model.inputs[0]
    for layer, options in folded:
        x = layer(x, **options)
    return keras.Model(image, x, name=model.name)


def gives_logits(model: keras.Model) -> bool:
    """Whether a model's output is logits, that is, whether the layer it comes from is so named.

    Where the last layer is a model itself, its own last layer counts.  A subclassed model doesn't
    say what its output comes from: the last of its layers counts there.  A model that was compiled
    with a loss of logits, `BinaryCrossentropy(from_logits=True)`, gives logits whatever the name.

    Examples
    --------
    >>> gives_logits(strided_autoencoder(output="logits"))
    True
    """
    if getattr(getattr(model, "loss", None), "from_logits", False):
        return True
    outputs = getattr(model, "outputs", None)
    made_by = [outputs[0]._keras_history.operation] if outputs else model.layers[-1:]
    last = made_by[0] if made_by else None
    if isinstance(last, keras.Model):
        return gives_logits(last)
    return last is not None and last.name == "logits"


def _chain(model) -> list[tuple[keras.layers.Layer, dict[str, Any]]]:
    """Return a model's layers, in the order in which the images go through, and their options."""
    if len(getattr(model, "inputs", None) or ()) != 1 or len(model.outputs) != 1:
        raise _not_a_chain(model, "it must have one input and one output, and know them")
    calls = []
    tensor = model.outputs[0]
    while tensor is not model.inputs[0]:
        layer, node_index, _ = tensor._keras_history
        node = layer._inbound_nodes[node_index]
        if not isinstance(layer, keras.layers.Layer) or not _takes_and_gives_one_tensor(node):
            raise _not_a_chain(model, f"{layer.name} takes or gives something else")
        options = {name: v for name, v in node.arguments.kwargs.items() if v is not None}
        is_model = isinstance(layer, keras.Model) and not options
        calls[:0] = _chain(layer) if is_model else [(layer, options)]
        tensor = node.input_tensors[0]
    return calls


def _takes_and_gives_one_tensor(node) -> bool:
    return len(node.input_tensors) == len(node.arguments.args) == len(node.output_tensors) == 1


def _not_a_chain(model, reason: str) -> ValueError:
    return ValueError(
        f"model must be a chain of layers, each fed by the one before it alone, got {model.name}: "
        f"{reason}"
    )


def _can_fold(unpooling, convolution) -> bool:
    if _calls_as(unpooling, keras.layers.UpSampling2D):
        unpools = unpooling.interpolation == "nearest"
    else:
        unpools = _calls_as(unpooling, ZeroFillUnpooling2D)
    plain = {
        "strides": (1, 1),
        "padding": "same",
        "dilation_rate": (1, 1),
        "output_padding": None,
        "data_format": "channels_last",
        "activity_regularizer": None,
    }
    return (
        unpools
        and unpooling.data_format == "channels_last"
        and unpooling.compute_dtype == convolution.compute_dtype
        and _calls_as(convolution, keras.layers.Conv2DTranspose)
        and all(getattr(convolution, name) == value for name, value in plain.items())
    )


def _calls_as(layer, kind) -> bool:
    """Whether a layer is of a kind, or of a subclass that computes the same."""
    return isinstance(layer, kind) and type(layer).call is kind.call


@keras.saving.register_keras_serializable(package="cae_lessons")
class _FoldedConvolution(keras.layers.Layer):
    """An unpooling layer and a transposed convolution of stride 1, as one of larger stride.

    `filled` says what the unpooling fills of a block: its "corner", or the whole "block".
    """

    def __init__(self, convolution, pool_size, filled, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.convolution = convolution
        self.activation = convolution.activation
        self.pool_size = tuple(pool_size)
        self.filled = filled

    @classmethod
    def of(cls, unpooling, convolution):
        """Return the one layer that does what two do, and uses the convolution's weights."""
        corner = isinstance(unpooling, ZeroFillUnpooling2D)
        size = unpooling.pool_size if corner else unpooling.size
        names = {"name": convolution.name, "dtype": convolution.dtype_policy}
        return cls(convolution, size, "corner" if corner else "block", **names)

    @classmethod
    def from_config(cls, config):
        """Make the layer again, with new weights."""
        convolution = keras.saving.deserialize_keras_object(config["convolution"])
        return cls(**{**config, "convolution": convolution})

    def get_config(self):
        """Return what `from_config` needs."""
        convolution = keras.saving.serialize_keras_object(self.convolution)
        own = {"convolution": convolution, "pool_size": self.pool_size, "filled": self.filled}
        return {**super().get_config(), **own}

    def build(self, input_shape):
        """Make the convolution's weights, unless it has them."""
        if not self.convolution.built:
            self.convolution.build(self._unpooled_shape(input_shape))

    def call(self, x):
        """Convolve `x` with the kernel as it is at each filled place of a block, summed up."""
        kernel = ops.cast(self._summed_kernel(), self.compute_dtype)
        x = ops.cast(x, self.compute_dtype)
        x = ops.conv_transpose(x, kernel, self.pool_size, "same", data_format="channels_last")
        if self.convolution.use_bias:
            x = x + ops.cast(self.convolution.bias, self.compute_dtype)
        return self.activation(x)

    def compute_output_shape(self, input_shape):
        """Return the shape of the maps."""
        return self.convolution.compute_output_shape(self._unpooled_shape(input_shape))

    def _summed_kernel(self):
        rows, columns = self.pool_size
        places = [(0, 0)] if self.filled == "corner" else np.ndindex(self.pool_size)
        margins = [((i, rows - 1 - i), (j, columns - 1 - j), (0, 0), (0, 0)) for i, j in places]
        kernel = ops.convert_to_tensor(self.convolution.kernel)
        return sum(ops.pad(kernel, margin) for margin in margins)

    def _unpooled_shape(self, input_shape):
        batch, *size, channels = input_shape
        both = zip(size, self.pool_size, strict=True)
        return (batch, *(None if n is None else n * pool for n, pool in both), channels)


def _output_name(output):
    return "logits" if output == "logits" else "reconstruction"


def _pool(x, unpooling, name):
    """Return the pooled maps, and the indices of the maxima where they will be needed."""
    if unpooling == "argmax":
        return MaxPoolingWithArgmax2D(data_format=DATA_FORMAT, name=name)(x)
    return keras.layers.MaxPooling2D(data_format=DATA_FORMAT, name=name)(x), None


def _unpool(x, where, *, unpooling, name):
    if unpooling == "argmax":
        return MaxUnpooling2D(data_format=DATA_FORMAT, name=name)([x, where])
    layer = ZeroFillUnpooling2D if unpooling == "zero-fill" else keras.layers.UpSampling2D
    return layer(data_format=DATA_FORMAT, name=name)(x)


def _convolution(filters, kernels, *, name, strides=1):
    return keras.layers.Conv2D(
        filters,
        KERNEL_SIZE,
        strides=strides,
        padding="same",
        data_format=DATA_FORMAT,
        activation="relu",
        kernel_initializer=next(kernels),
        bias_initializer=keras.initializers.Constant(0.1),
        name=name,
    )


def _transposed_convolution(filters, activation, *, kernels, use_bias, name, strides=1, start=None):
    """Return a layer of the decoder; `start` gives it a bias, and the value it starts at."""
    return keras.layers.Conv2DTranspose(
        filters,
        KERNEL_SIZE,
        strides=strides,
        padding="same",
        data_format=DATA_FORMAT,
        activation="linear" if activation == "logits" else activation,
        use_bias=use_bias or start is not None,
        kernel_initializer=next(kernels),
        bias_initializer=keras.initializers.Constant(0.1 if start is None else start),
        name=name,
    )


def _dense_code(x, size, hidden, use_bias, kernels):
    """Return the maps that a dense code of `size` numbers is expanded to."""
    dense = functools.partial(_dense, kernels=kernels)
    maps = x.shape[1:]
    flat = keras.layers.Flatten(data_format=DATA_FORMAT, name="flattened")(x)
    code = dense(size, name="code")(flat) if size else _EmptyCode(name="code")(flat)
    x = dense(math.prod(maps), hidden, use_bias=use_bias, name="expansion")(code)
    return keras.layers.Reshape(maps, name="maps")(x)


def _code_of_maps(x, channels, hidden, use_bias, kernels):
    """Return the maps that a code of `channels` maps is expanded to."""
    convolution = functools.partial(
        keras.layers.Conv2D, kernel_size=1, data_format=DATA_FORMAT, padding="same"
    )
    code = convolution(channels, kernel_initializer=next(kernels), name="code")(x)
    return convolution(
        x.shape[-1],
        activation=hidden,
        use_bias=use_bias,
        kernel_initializer=next(kernels),
        bias_initializer=keras.initializers.Constant(0.1),
        name="expansion",
    )(code)


def _dense(units, activation="linear", *, kernels, name, use_bias=True):
    return keras.layers.Dense(
        units,
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=next(kernels),
        bias_initializer=keras.initializers.Constant(0.1),
        name=name,
    )


@keras.saving.register_keras_serializable(package="cae_lessons")
class _EmptyCode(keras.layers.Layer):
    """A code that says nothing of the image: one number, always 0."""

    def call(self, x):
        """Return the 0, as a product, so that the encoder has a gradient: 0."""
        return 0 * x[:, :1]

    def compute_output_shape(self, input_shape):
        """Return the shape of one number."""
        return (input_shape[0], 1)


def _kernel_initializers(initializer: Any, seed) -> Iterator[Any]:
    """Yield one initializer for each layer: with one seed, two would start with equal numbers."""
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
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")


def _checked_size(name, value, least, most):
    try:
        size = operator.index(value)
    except TypeError:
        size = -1
    if isinstance(value, bool) or not least <= size <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r}")
    return size
