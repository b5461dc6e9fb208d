"""The autoencoders, as `keras.Model`s with named layers."""

import keras

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
    The article's section 2.  V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep
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
    x = _transposed_convolution(
        16, kernels, hidden, decoder_bias, name="transposed_convolution_1", strides=2
    )(code)  # 14×14×16
    reconstruction = _transposed_convolution(
        1, kernels, output, decoder_bias, name=_output_name(output), strides=2
    )(x)  # 28×28×1
    return keras.Model(image, reconstruction, name="strided_autoencoder")


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


def _transposed_convolution(filters, kernels, activation, use_bias, *, name, strides=1):
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
    config = initializer.get_config()
    layer = 0
    while True:
        if "seed" in config and config["seed"] is None:
            yield type(initializer).from_config({**config, "seed": 100 * seed + layer})
        else:
            yield initializer
        layer += 1


def _check(name, value, allowed):
    if value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{name}={value!r}, expected one of {choices}")
