"""What the layers of a Keras model do with a batch, however the model is built.

Functional, sequential and subclassed models, nested to any depth, are watched in the same way:
during a look, each layer's `call` notes what it was given and what it returned.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops, tree

PROBES: np.ndarray = np.array([-50, -6, -3, -1, -0.1, 0.1, 1, 3, 6, 50], "float32")


class Call(NamedTuple):
    """One call of a layer, or a tensor that the model's own code computed between its layers.

    Attributes
    ----------
    path : str
        The layer's name, after those of the models and layers around it: `encoder/bottleneck`.
    layer : keras.Operation or None
        None if no layer computed it.
    inputs : list of tensor
    output : tensor
    """

    path: str
    layer: Any
    inputs: list[Any]
    output: Any


@dataclass
class Trace:
    """All calls of layers for one batch, in order.

    Attributes
    ----------
    calls : list of Call
    output : tensor
        What the model returned.
    """

    calls: list[Call] = field(default_factory=list)
    output: Any = None

    def maker(self, tensor: Any) -> Call | None:
        """Return the last call that returned this very tensor, None if there is none."""
        return next((call for call in reversed(self.calls) if call.output is tensor), None)


def trace(model: keras.Model, images: Any) -> Trace:
    """Run one batch through a model, and note each call of its innermost layers.

    Parameters
    ----------
    model : keras.Model
    images : array_like
        Shape (n, …), as the model expects them.

    Returns
    -------
    Trace
        Where a tensor came from the model's own code, as in `tf.nn.relu(self.layer(x))`, there is a
        call with the layer None; its path names the layer that took the tensor.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> found = trace(strided_autoencoder(), np.zeros((1, 28, 28, 1), "float32"))
    >>> [call.path for call in found.calls]
    ['convolution_1', 'code', 'transposed_convolution_1', 'reconstruction']
    """
    with tracing(model) as run:
        return run(images)


@contextlib.contextmanager
def tracing(model: keras.Model) -> Iterator[Callable[[Any], Trace]]:
    """Yield a function that traces one batch, as `trace` does; several threads may call it at once.

    Parameters
    ----------
    model : keras.Model
    """
    current = threading.local()  # each thread has a batch of its own

    def note(path, layer, inputs, outputs):
        if hasattr(current, "notes"):
            current.notes.take(path, layer, inputs, outputs)

    def run(images):
        images = ops.convert_to_tensor(images)
        if not model.built:  # Keras builds by calling the layers with symbols, which show nothing
            model(images[:1], training=False)
        current.notes = notes = _Notes(images)
        try:
            output = model(images, training=False)
        finally:
            del current.notes
        return notes.end(model.name, output)

    with watching(model, note):
        yield run


class _Notes:
    """The calls that one batch takes, as they come."""

    def __init__(self, images):
        self._trace, self._known = Trace(), [images]

    def take(self, path, layer, inputs, outputs):
        if not _is_container(layer):
            for tensor in inputs:
                self._take_own_code(f"input of {path}", tensor)
            self._trace.calls.append(Call(path, layer, inputs, outputs[0]))
        elif not _is_keras_own(layer):
            self._take_own_code(path, outputs[0], layer)
        self._known.extend(outputs)

    def end(self, name, output):
        self._trace.output = output
        for tensor in tree.flatten(output):
            self._take_own_code(name, tensor)
        return self._trace

    def _take_own_code(self, path, tensor, layer=None):
        if not _is_among(tensor, self._known):
            self._trace.calls.append(Call(path, layer, [], tensor))
            self._known.append(tensor)


@contextlib.contextmanager
def watching(model: keras.Model, note: Callable[..., None]) -> Iterator[None]:
    """Have every layer of a model report its calls, as long as the context lasts.

    Parameters
    ----------
    model : keras.Model
    note : callable
        Called as `note(path, layer, inputs, outputs)` after each call of a layer inside the model,
        the innermost first; inputs and outputs are flat lists of tensors.

    Notes
    -----
    The model must be called eagerly; functions that its own code compiled run eagerly meanwhile.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_eagerly())
        for layer, path in named_layers(model).values():
            own = layer.__dict__.get("call")
            # Past Keras' attribute tracking, which would take the function for a part of the layer.
            object.__setattr__(layer, "call", _noting(layer.call, layer, path, note))
            stack.callback(_restore, layer, own)
        yield


def named_layers(model: Any) -> dict[int, tuple[Any, str]]:
    """Return all layers inside a model, and the operations that stand between them.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    dict of int to (layer, path)
        By `id`: a layer that is used twice is there once.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> inner = strided_autoencoder()
    >>> outer = keras.Sequential([keras.Input((28, 28, 1)), inner])
    >>> [path for _, path in named_layers(outer).values()][:2]
    ['strided_autoencoder', 'strided_autoencoder/convolution_1']
    """
    found = {}

    def add(parent, prefix):
        for layer in _children(parent):
            if id(layer) not in found and not isinstance(layer, keras.layers.InputLayer):
                found[id(layer)] = layer, prefix + layer.name
                add(layer, f"{prefix}{layer.name}/")

    add(model, "")
    return found


def find_layer(model: Any, path: str) -> Any:
    """Return the layer of a path, or of a name if only one layer has it.

    Parameters
    ----------
    model : keras.Model
    path : str
        As `encoder/bottleneck`, or `bottleneck`.

    Returns
    -------
    keras.Operation

    Raises
    ------
    ValueError
        No layer has this name, or more than one has it; the error lists all layers.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> find_layer(strided_autoencoder(), "code").filters
    32
    """
    named = list(named_layers(model).values())
    matching = [layer for layer, name in named if name == path]
    matching = matching or [layer for layer, name in named if name.endswith(f"/{path}")]
    if len(matching) != 1:
        problem = "has no layer" if not matching else f"has {len(matching)} layers"
        names = ", ".join(name for _, name in named)
        raise ValueError(f"{model.name} {problem} {path!r}; its layers are: {names}")
    return matching[0]


def activation(call: Call) -> str | None:
    """Name what a layer's activation function does, however it is written.

    The function is tried on numbers: `"relu"`, `keras.layers.ReLU()`, `tf.nn.relu` and a
    `Lambda` with a maximum are one and the same.

    Parameters
    ----------
    call : Call

    Returns
    -------
    str or None
        `"relu"`: 0 for all negative numbers, above 0 for all positive ones; `"sigmoid"`;
        `"tanh"`; `"linear"`: no activation; the function's own name for any other; None if it
        can't be known.

    Examples
    --------
    >>> call = Call("code", keras.layers.ReLU(), [ops.ones((1, 2))], ops.ones((1, 2)))
    >>> activation(call)
    'relu'
    """
    layer = call.layer
    function = getattr(layer, "activation", None)
    if layer is None or (function is None and _is_container(layer)):
        return None
    if function is None and getattr(layer, "weights", ()):
        return "linear" if _is_keras_own(layer) or hasattr(layer, "activation") else None
    if function is None:
        if len(call.inputs) != 1 or tuple(call.inputs[0].shape) != tuple(call.output.shape):
            return "linear" if _only_moves_values(layer) else None
        function = layer.call
    return _probe(function, call)


def output_maker(found: Trace) -> Call | None:
    """Return the call that determines what a model's output can be, before layers that move values.

    Parameters
    ----------
    found : Trace

    Returns
    -------
    Call or None
        None if it can't be known.

    Examples
    --------
    >>> from cae_lessons import unpooling_autoencoder
    >>> images = np.zeros((1, 28, 28, 1), "float32")
    >>> output_maker(trace(unpooling_autoencoder("nearest"), images)).path
    'transposed_convolution_2'
    """
    call = found.maker(found.output)
    while call is not None and _moves_values(call):
        call = found.maker(call.inputs[0]) if len(call.inputs) == 1 else None
    return call


def output_activation(found: Trace) -> str | None:
    """Name the activation of `output_maker`, as `activation` does.

    Parameters
    ----------
    found : Trace

    Returns
    -------
    str or None

    Examples
    --------
    >>> from cae_lessons import unpooling_autoencoder
    >>> images = np.zeros((1, 28, 28, 1), "float32")
    >>> output_activation(trace(unpooling_autoencoder("nearest"), images))
    'sigmoid'
    """
    maker = output_maker(found)
    return maker and activation(maker)


def _moves_values(call):
    return activation(call) == "linear" and not getattr(call.layer, "weights", ())


def _probe(function, call):
    shape = (1, *call.output.shape[1:])
    x = np.resize(PROBES, max(int(np.prod(shape)), len(PROBES)))
    x = x[: int(np.prod(shape))].reshape(shape) if len(x) == np.prod(shape) else x[None]
    try:
        y = ops.convert_to_numpy(function(ops.convert_to_tensor(x)))
    except Exception:  # foreign code may raise anything
        return None
    if y.shape != x.shape:
        return None
    if np.all(y[x < 0] == 0) and np.all(y[x > 0] > 0):
        return "relu"
    for name, expected in (("linear", x), ("sigmoid", 1 / (1 + np.exp(-x))), ("tanh", np.tanh(x))):
        if np.allclose(y, expected, atol=1e-4):
            return name
    return getattr(function, "__name__", type(function).__name__)


def _children(layer):
    if isinstance(layer, keras.Sequential):
        return layer.layers
    if isinstance(layer, keras.layers.RNN):  # its cell is called once for each step of a sequence
        return []
    inner = getattr(layer, "_flatten_layers", None)
    layers = list(inner(include_self=False, recursive=False)) if inner else []
    return [*getattr(layer, "operations", ()), *layers]


def _is_container(layer):
    return bool(_children(layer))


def _is_keras_own(layer):
    return type(layer).__module__.split(".")[0] == "keras"


def _only_moves_values(layer):
    """Whether a layer without weights moves or joins values, and computes no others."""
    package = type(layer).__module__.split(".")[0]
    return package in ("keras", "cae_lessons") and not isinstance(layer, keras.layers.Lambda)


def _is_among(tensor, known):
    """Whether a tensor is one of the known ones, or the copy of one in another precision."""
    if any(tensor is each for each in known):
        return True
    alike = (each for each in known if tuple(each.shape) == tuple(tensor.shape))
    return any(bool(ops.all(ops.equal(tensor, ops.cast(x, tensor.dtype)))) for x in alike)


def _noting(call, layer, path, note):
    def noting(*args, **kwargs):
        output = call(*args, **kwargs)
        inputs = [x for x in tree.flatten((args, kwargs)) if keras.ops.is_tensor(x)]
        note(path, layer, inputs, tree.flatten(output))
        return output

    return noting


def _restore(layer, own):
    if own is None:
        object.__delattr__(layer, "call")
    else:
        object.__setattr__(layer, "call", own)


@contextlib.contextmanager
def _eagerly():
    """Let functions that a model's code compiled run step by step, so that they can be watched."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)
