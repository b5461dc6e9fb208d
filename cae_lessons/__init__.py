"""Convolutional autoencoders, every number explained: the package of the book.

>>> import cae_lessons as cae
>>> model = cae.strided_autoencoder()
>>> model.get_layer("code").output.shape
(None, 7, 7, 32)
"""

import importlib
import importlib.metadata
import os
from typing import TYPE_CHECKING

# TensorFlow reads this once, at its import.  `setdefault` leaves the user's own choice alone.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# At once, so that Keras knows the layers when it loads a saved model; they need Keras alone.
from cae_lessons import cores, layers, models

if TYPE_CHECKING:  # what editors complete; at run time each name is imported at its first use
    from cae_lessons import (
        callbacks,
        diagnosis,
        figures,
        floors,
        mnist,
        noise,
        scores,
        training,
    )
    from cae_lessons import study as study
    from cae_lessons.diagnosis import diagnose
    from cae_lessons.mnist import load_mnist
    from cae_lessons.models import (
        narrow_autoencoder,
        strided_autoencoder,
        unpooling_autoencoder,
    )
    from cae_lessons.training import mean_squared_error, reconstruct, train

cores.prefer_one_thread_per_operation()

__version__ = importlib.metadata.version("cae-lessons")

__all__ = [
    "callbacks",
    "diagnose",
    "diagnosis",
    "figures",
    "floors",
    "layers",
    "load_mnist",
    "mean_squared_error",
    "mnist",
    "models",
    "narrow_autoencoder",
    "noise",
    "reconstruct",
    "scores",
    "strided_autoencoder",
    "train",
    "training",
    "unpooling_autoencoder",
]

_HOMES = {
    "diagnose": "diagnosis",
    "load_mnist": "mnist",
    "mean_squared_error": "training",
    "narrow_autoencoder": "models",
    "reconstruct": "training",
    "strided_autoencoder": "models",
    "train": "training",
    "unpooling_autoencoder": "models",
}


def __getattr__(name: str) -> object:
    """Import what is asked for: the layers need no TensorFlow, the study needs extra packages."""
    if name not in (*__all__, "study"):
        raise AttributeError(f"module 'cae_lessons' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"cae_lessons.{_HOMES.get(name, name)}")
    except ModuleNotFoundError as error:  # `hasattr` and `help` know an AttributeError only
        raise AttributeError(str(error)) from error
    return getattr(module, name) if name in _HOMES else module


def __dir__() -> list[str]:
    """Name what is there to import, too."""
    return sorted({*globals(), *__all__, "study"})
