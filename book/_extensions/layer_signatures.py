"""Show a Keras layer's own parameters in the reference.

Keras wraps every layer in a `__new__` that takes anything, and that is what Sphinx would show.
"""

import inspect

import keras


def setup(app):
    """Register the extension with Sphinx."""
    app.connect("autodoc-process-signature", show_parameters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def show_parameters(app, what, name, obj, options, signature, returns):
    """Return the signature of a layer's `__init__`, without `self`."""
    if what != "class" or not issubclass(obj, keras.layers.Layer):
        return None
    parameters = list(inspect.signature(obj.__init__).parameters.values())
    return str(inspect.Signature(parameters[1:])), None
