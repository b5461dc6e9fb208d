"""Images in: the packaged MNIST, or any directory of IDX files with MNIST's file names."""

import gzip
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

PACKAGED = Path(__file__).with_name("mnist.npz")
VALIDATION_SIZE = 5_000
IMAGE_SHAPE = (28, 28, 1)
IDX_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
# An IDX file starts with two zero bytes, 0x08 for unsigned bytes, and the number of axes.
IDX_MAGIC_UNSIGNED_BYTE = 0x0800


class DataFileError(ValueError):
    """A data file is there but can't be what it should be; the message names the file."""


class Split(NamedTuple):
    """Images and their labels, in the same order.

    Attributes
    ----------
    images : numpy.ndarray
        float32, shape (n, 28, 28, 1), values in [0, 1].
    labels : numpy.ndarray
        int64, shape (n,).
    """

    images: np.ndarray
    labels: np.ndarray


class _Source(NamedTuple):
    """An array, and the file that it came from."""

    path: Path
    array: np.ndarray


class Digits(NamedTuple):
    """The three parts of a data set, each a `Split`."""

    train: Split
    validation: Split
    test: Split


def load_mnist(directory=None):
    """Load MNIST, split as TensorFlow 1's reader split it.

    The first 5,000 training images are the validation set, the other 55,000 the training set;
    the 10,000 test images stay as they are.

    Parameters
    ----------
    directory : str or path-like, optional
        A directory with the four IDX files of any data set in MNIST's format (Fashion-MNIST,
        say), plain or gzip-compressed.  By default the packaged MNIST is read; nothing is
        downloaded.

    Returns
    -------
    Digits
        `train`, `validation` and `test`, each with `.images` (float32, (n, 28, 28, 1), in
        [0, 1]) and `.labels` (int64, (n,)).

    Raises
    ------
    FileNotFoundError
        The directory, or one of its four files, is missing.
    DataFileError
        A file is damaged, truncated, of another kind or of the wrong shape.

    References
    ----------
    LeCun, Cortes and Burges, "The MNIST database of handwritten digits".

    Examples
    --------
    >>> digits = load_mnist()
    >>> digits.train.images.shape, digits.validation.images.shape, digits.test.images.shape
    ((55000, 28, 28, 1), (5000, 28, 28, 1), (10000, 28, 28, 1))
    """
    arrays = _read_packaged() if directory is None else _read_directory(Path(directory))
    train = _split(arrays["train_images"], arrays["train_labels"])
    test = _split(arrays["test_images"], arrays["test_labels"])
    if len(train.images) <= VALIDATION_SIZE:
        raise DataFileError(
            f"{arrays['train_images'].path}: {len(train.images):,} training images, but the first "
            f"{VALIDATION_SIZE:,} become the validation set: more are needed"
        )
    return Digits(
        train=Split(*(part[VALIDATION_SIZE:] for part in train)),
        validation=Split(*(part[:VALIDATION_SIZE] for part in train)),
        test=test,
    )


def check_images(images, shape=None):
    """Return `images` as a float32 array, or say what is wrong with them.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels), n at least 1.
    shape : tuple, optional
        The (height, width, channels) that each image must have.

    Returns
    -------
    numpy.ndarray
        The images as float32; not copied where they are float32 already.

    Raises
    ------
    ValueError
        The array is empty, of another rank, shape or dtype, holds NaNs or leaves [0, 1]; or it
        is no array, but a `Split` or `Digits`.

    Examples
    --------
    >>> check_images(np.zeros((2, 28, 28, 1), "uint8"))
    Traceback (most recent call last):
        ...
    ValueError: images have dtype uint8, expected floats in [0, 1] (divide bytes by 255)
    """
    if isinstance(images, (Split, Digits)):
        field = ".images" if isinstance(images, Split) else ".train.images or .test.images"
        raise ValueError(f"images are a {type(images).__name__}, expected its array: {field}")
    images = _as_array(images)
    expected = "(n, height, width, channels)" if shape is None else f"(n, {str(tuple(shape))[1:]}"
    if images.ndim != 4 or (shape is not None and images.shape[1:] != tuple(shape)):
        raise ValueError(f"images have shape {images.shape}, expected {expected}")
    if images.size == 0:
        raise ValueError(f"images are empty: shape {images.shape}, expected {expected}, n ≥ 1")
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(
            f"images have dtype {images.dtype}, expected floats in [0, 1] (divide bytes by 255)"
        )
    lowest, highest = images.min(), images.max()
    if np.isnan(lowest):
        raise ValueError("images contain NaN, expected floats in [0, 1]")
    if lowest < 0 or highest > 1:
        raise ValueError(f"images lie in [{lowest:g}, {highest:g}], expected [0, 1]")
    return images.astype(np.float32, copy=False)


def _as_array(images):
    try:
        return np.asarray(images)
    except ValueError:
        raise ValueError("images differ in shape, expected one array of them") from None


def _split(images, labels):
    if images.array.shape[1:] != IMAGE_SHAPE[:2]:
        raise DataFileError(
            f"{images.path}: images of shape {images.array.shape[1:]}, expected (28, 28)"
        )
    if len(images.array) != len(labels.array):
        raise DataFileError(
            f"{labels.path}: {len(labels.array):,} labels, but {images.path} holds "
            f"{len(images.array):,} images"
        )
    pixels = np.divide(images.array[..., np.newaxis], 255, dtype=np.float32)
    return Split(pixels, labels.array.astype(np.int64))


def _read_packaged(path=PACKAGED):
    names = {
        "train_images": "x_train",
        "train_labels": "y_train",
        "test_images": "x_test",
        "test_labels": "y_test",
    }
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: _Source(path, archive[key]) for name, key in names.items()}
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: install cae_lessons again") from None
    except Exception as error:  # a damaged archive raises nearly anything, from zipfile or NumPy
        raise DataFileError(f"{path} is damaged ({error}): install cae_lessons again") from None


def _read_directory(directory):
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory.absolute()} is not a directory with MNIST's IDX files")
    paths = {name: _find(directory, file_name) for name, file_name in IDX_FILES.items()}
    return {
        name: _Source(path, _parse_idx(path, axes=3 if "images" in name else 1))
        for name, path in paths.items()
    }


def _find(directory, file_name):
    for candidate in (directory / file_name, directory / f"{file_name}.gz"):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{directory} has neither {file_name} nor {file_name}.gz")


def _parse_idx(path, axes):
    content = _read_bytes(path)
    header_size = 4 * (1 + axes)
    if len(content) < header_size:
        raise DataFileError(f"{path}: {len(content)} bytes, too short for an IDX header")
    magic, *shape = struct.unpack(f">{1 + axes}I", content[:header_size])
    if magic != IDX_MAGIC_UNSIGNED_BYTE + axes:
        raise DataFileError(
            f"{path}: magic number {magic}, expected {IDX_MAGIC_UNSIGNED_BYTE + axes}"
        )
    expected = np.prod(shape, dtype=object)  # Python integers: a damaged header can't overflow
    found = len(content) - header_size
    if found != expected:
        raise DataFileError(f"{path}: {found:,} bytes of data, its header promises {expected:,}")
    try:
        return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)
    except ValueError:  # no images, each larger than memory
        raise DataFileError(f"{path}: its header promises the shape {tuple(shape)}") from None


def _read_bytes(path):
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataFileError(f"{path} can't be read: {error}") from None
