"""Convolutional autoencoders, every number explained: the package of the book.

>>> import cae_lessons as cae
>>> model = cae.strided_autoencoder()
>>> model.get_layer("code").output.shape
(None, 7, 7, 32)
"""

import importlib
import importlib.metadata
import os

# TensorFlow reads this once, at its import.  `setdefault` leaves the user's own choice alone.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from cae_lessons import diagnosis, floors, layers, mnist, models, training
from cae_lessons.diagnosis import diagnose
from cae_lessons.mnist import load_mnist
from cae_lessons.models import strided_autoencoder, unpooling_autoencoder
from cae_lessons.training import mean_squared_error, reconstruct, train

__version__ = importlib.metadata.version("cae-lessons")

__all__ = [
    "diagnose",
    "diagnosis",
    "figures",
    "floors",
    "layers",
    "load_mnist",
    "mean_squared_error",
    "mnist",
    "models",
    "reconstruct",
    "strided_autoencoder",
    "train",
    "training",
    "unpooling_autoencoder",
]

LAZY = ("figures", "study")


def __getattr__(name):
    """Import `figures` and `study` at their first use: what they need is slow to import."""
    if name not in LAZY:
        raise AttributeError(f"module 'cae_lessons' has no attribute {name!r}")
    try:
        return importlib.import_module(f"cae_lessons.{name}")
    except ModuleNotFoundError as error:  # `hasattr` and `help` know an AttributeError only
        raise AttributeError(str(error)) from error


def __dir__():
    """Name `figures` and `study` too, before they are imported."""
    return sorted({*globals(), *LAZY})
