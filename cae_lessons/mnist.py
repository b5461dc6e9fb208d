"""Images in: the packaged MNIST, or any directory of IDX files with MNIST's file names."""

import functools
import gzip
import inspect
import math
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, ParamSpec, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

P = ParamSpec("P")
R = TypeVar("R")

PACKAGED = Path(__file__).with_name("mnist.npz")
VALIDATION_SIZE = 5_000
IMAGE_SHAPE = (28, 28, 1)
IDX_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
FILE_NAME = re.compile(
    r"(?P<prefix>emnist-[a-z]+-)?(?P<part>train|t10k|test)-"
    r"(?:(?P<images>images)[-.]idx3|labels[-.]idx1)-ubyte(?:\.gz)?"
)
# An IDX file starts with two zero bytes, one for the kind of numbers, and the number of axes.
UNSIGNED_BYTE = 0x08
IDX_KINDS = {
    UNSIGNED_BYTE: "unsigned bytes",
    0x09: "signed bytes",
    0x0B: "16-bit integers",
    0x0C: "32-bit integers",
    0x0D: "32-bit floats",
    0x0E: "64-bit floats",
}
ROUNDING = 1e-3  # how far rounding alone may carry images out of [0, 1]


class DataFileError(ValueError):
    """A data file exists but doesn't hold valid data; the message names the file."""


class Split(NamedTuple):
    """Images and their labels, in the same order.

    Attributes
    ----------
    images : numpy.ndarray
        float32, shape (n, 28, 28, 1), values in [0, 1].
    labels : numpy.ndarray
        int64, shape (n,).
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


class _Source(NamedTuple):
    """An array, and the file that it came from."""

    path: Path
    array: np.ndarray


class Digits(NamedTuple):
    """The three parts of a data set, each a `Split`."""

    train: Split
    validation: Split
    test: Split


def load_mnist(directory: str | os.PathLike[str] | None = None) -> Digits:
    """Load MNIST, split as TensorFlow 1's reader split it.

    The first 5,000 training images are the validation set, the other 55,000 the training set;
    the 10,000 test images stay as they are.

    Parameters
    ----------
    directory : str or path-like, optional
        A directory with the four IDX files of any data set in MNIST's format, plain or
        gzip-compressed: under MNIST's own names (those of Fashion-MNIST, say) or those of one
        split of EMNIST, such as `emnist-letters-train-images-idx3-ubyte`.  EMNIST's images are
        stored transposed and are turned the right way round; its labels stay as they are.  By
        default the packaged MNIST is read; nothing is downloaded.

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
        A file is damaged, truncated, of another kind or of the wrong shape; or the directory
        holds several splits of EMNIST.

    References
    ----------
    LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
    Cohen, Afshar, Tapson and van Schaik, "EMNIST: an extension of MNIST to handwritten letters".

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
        train=Split(train.images[VALIDATION_SIZE:], train.labels[VALIDATION_SIZE:]),
        validation=Split(train.images[:VALIDATION_SIZE], train.labels[:VALIDATION_SIZE]),
        test=test,
    )


def check_images(
    images: npt.ArrayLike,
    shape: tuple[int | None, ...] | None = None,
    margin: float = ROUNDING,
) -> npt.NDArray[np.float32]:
    """Return `images` as a float32 array, or say what is wrong with them and how to fix it.

    Parameters
    ----------
    images : array_like
        Floats in [0, 1], shape (n, height, width, channels), n at least 1.  Tensors of
        TensorFlow, PyTorch and JAX are fine.  Values outside [0, 1] by less than 0.001, as
        after a resize, are clipped.
    shape : tuple of int or None, optional
        The (height, width, channels) that each image must have; None stands for any size.
    margin : float
        How far outside [0, 1] values may lie, as noisy ones do.  Beyond rounding they are left
        as they are.

    Returns
    -------
    numpy.ndarray
        The images as float32; not copied where they are float32 in [0, 1] already.

    Raises
    ------
    ValueError
        The images aren't an array, have the wrong shape or dtype, are empty, contain NaN or
        infinity, or lie outside [0, 1].

    Examples
    --------
    >>> check_images(np.zeros((2, 28, 28), "float32"))
    Traceback (most recent call last):
        ...
    ValueError: images must have shape (n, height, width, channels), got (2, 28, 28): use images[..., None]
    >>> check_images([[[[0.0], [255.0]]]])
    Traceback (most recent call last):
        ...
    ValueError: images lie in [0, 255], must lie in [0, 1]: divide them by 255
    """  # noqa: E501
    array = _as_array(images)
    wanted = (None, None, None) if shape is None else tuple(shape)
    if len(wanted) != 3:
        raise ValueError(_how_to_wrap(array.shape, wanted))
    if not _fits(array.shape, wanted) or (wanted[2] is None and _is_channels_first(array.shape)):
        raise ValueError(_how_to_reshape(array.shape, wanted))
    if array.size == 0:
        raise ValueError(f"images are empty, shape {array.shape}: at least one pixel is needed")
    return _in_range(array, margin)


class _TakesImages(Protocol[P, R]):
    """A function that checks its images, with the unchecked function as an attribute."""

    unchecked: Callable[P, R]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


def takes_images(function: Callable[P, R]) -> _TakesImages[P, R]:
    """Check a function's first argument with `check_images`, once, where users call it.

    Parameters
    ----------
    function : callable
        Takes images first: a float32 array, shape (n, height, width, channels), in [0, 1].

    Returns
    -------
    callable
        The same function, but it takes whatever `check_images` takes.  Its attribute `unchecked`
        is the original function, for callers that have checked the images already.

    Raises
    ------
    ValueError
        When the function is called, as `check_images` raises it.

    Examples
    --------
    >>> @takes_images
    ... def mean(images):
    ...     return float(images.mean())
    >>> mean([[[[0.0], [1.0]]]])
    0.5
    >>> mean.unchecked(np.full((1, 2, 2, 1), 7.0))
    7.0
    """
    signature = inspect.signature(function)
    first = next(iter(signature.parameters))

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        bound.arguments[first] = check_images(bound.arguments[first])
        return function(*bound.args, **bound.kwargs)

    checked.unchecked = function  # type: ignore[attr-defined]
    return cast(_TakesImages[P, R], checked)


def _as_array(images):
    if isinstance(images, (Split, Digits)):
        field = ".images" if isinstance(images, Split) else ".train.images or .test.images"
        raise ValueError(f"images are a {type(images).__name__}, must be its array: {field}")
    try:
        array = np.asarray(images)
    except Exception as error:  # each library raises its own error
        if "inhomogeneous" in str(error):
            raise ValueError(_differing(images)) from None
        raise ValueError(
            f"images are a {type(images).__name__}, must be an array: {error}"
        ) from error
    if array.ndim == 0:
        raise ValueError(
            f"images are a {type(images).__name__}, must be an array of shape "
            "(n, height, width, channels)"
        )
    if array.dtype == object and all(isinstance(image, np.ndarray) for image in array.flat):
        raise ValueError(_differing(array.flat))
    return array


def _differing(images):
    """Say that the images are separate arrays instead of one."""
    shapes = list(dict.fromkeys(str(np.shape(image)) for image in images))
    if len(shapes) == 1:
        return f"images are separate arrays of shape {shapes[0]}, must be one: np.stack(images)"
    more = ", …" if len(shapes) > 3 else ""
    return f"images differ in shape, must all have one, got {', '.join(shapes[:3])}{more}"


def _fits(shape, wanted):
    """Tell whether (n, height, width, channels) are n images as wanted."""
    return len(shape) == 4 and all(
        size is None or size == found for size, found in zip(wanted, shape[1:], strict=True)
    )


def _is_channels_first(shape):
    """Tell whether (n, 1, 28, 28), say, holds the channels before the rows and columns."""
    _, channels, height, width = shape
    return channels in (1, 3) and height == width > 4


def _how_to_reshape(shape, wanted):
    """Say what shape images must have, and which expression gives it, if there is one."""
    names = ("height", "width", "channels")
    sizes = (name if size is None else size for name, size in zip(names, wanted, strict=True))
    must = f"must have shape (n, {', '.join(map(str, sizes))})"
    for mend, result in _reshapings(shape, wanted):
        _, height, width, channels = result
        # Nobody means an image with more channels than rows or columns.
        if _fits(result, wanted) and (None not in wanted or channels < min(height, width)):
            flat = "are flat, " if "reshape" in mend and len(shape) < 3 else ""
            return f"images {flat}{must}, got {shape}: use {mend}"
    return f"images {must}, got {shape}"


def _reshapings(shape, wanted):
    """Yield pairs of an expression that often helps and the shape that it gives."""
    if len(shape) == 4:
        yield "np.moveaxis(images, 1, -1)", (shape[0], *shape[2:], shape[1])
        yield "np.moveaxis(images, -1, 1)", (shape[0], shape[3], *shape[1:3])
    elif len(shape) == 3:
        yield "images[None]", (1, *shape)
        yield "images[..., None]", (*shape, 1)
    elif len(shape) == 2 and (shape[0] == shape[1] or shape == wanted[:2]):
        yield "images[None, ..., None]", (1, *shape, 1)
    sizes = shape[-3:] if len(shape) > 4 else _sizes_of_flat(shape, wanted)
    if len(shape) not in (3, 4) and sizes is not None:
        yield "images.reshape({}, {}, {}, {})".format(-1, *sizes), (1, *sizes)


def _sizes_of_flat(shape, wanted):
    """Return the (height, width, channels) of images in rows of numbers: square, if not known."""
    pixels = shape[-1]
    if None not in wanted:
        return wanted if math.prod(wanted) == pixels else None
    side = math.isqrt(pixels)
    return (side, side, 1) if side * side == pixels else None


def _how_to_wrap(shape, wanted):
    """Say how to wrap a model of vectors, or of pictures without channels, to take images."""
    taken = f"the model takes arrays of shape (n, {', '.join(map(str, wanted))}), must take images"
    sizes = shape[1:] if len(shape) == 4 else _sizes_of_flat((math.prod(shape[1:]),), (None,))
    if sizes is None or None in wanted:
        return f"{taken} (n, height, width, channels)"
    inner = "keras.layers.Flatten()" if len(wanted) == 1 else f"keras.layers.Reshape({wanted})"
    return (
        f"{taken} (n, {', '.join(map(str, sizes))}): wrap it, keras.Sequential([keras.Input("
        f"{sizes}), {inner}, model, keras.layers.Reshape({sizes})])"
        + (f"; and reshape the images, images.reshape(-1, {str(sizes)[1:]}" * (len(shape) != 4))
    )


def _in_range(array, margin):
    """Return images as float32 in [0, 1]; what rounding carried outside is clipped."""
    if array.dtype.name == "bfloat16":  # NumPy doesn't know that these are floats
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"images have dtype {array.dtype}, must be floats in [0, 1]")
    lowest, highest = array.min(), array.max()  # no mask arrays: images can be many
    if array.dtype.kind != "f":
        raise ValueError(
            f"images have dtype {array.dtype}, must be floats in [0, 1]: "
            f"{_how_to_make_floats(array, int(lowest), int(highest))}"
        )
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise ValueError(f"images contain {_not_finite(array)}, must be numbers in [0, 1]")
    if lowest < -margin or highest > 1 + margin:
        raise ValueError(
            f"images lie in [{lowest:g}, {highest:g}], must lie in [0, 1]: "
            f"{_how_to_rescale(array, lowest, highest)}"
        )
    images = array.astype(np.float32, copy=False)
    only_rounded = margin <= ROUNDING and (lowest < 0 or highest > 1)
    return np.clip(images, 0, 1) if only_rounded else images


def _how_to_make_floats(array, lowest, highest):
    if array.dtype == bool or (lowest >= 0 and highest == 1):
        return 'use images.astype("float32")'
    if array.dtype == np.uint8 or (lowest, highest) == (0, 0):
        return "divide them by 255"
    return f"they lie in [{lowest}, {highest}], {_how_to_rescale(array, lowest, highest)}"


def _how_to_rescale(array, lowest, highest):
    """Say how to bring values into [0, 1], judging by their limits where they come from."""
    if lowest >= -0.3 and highest <= 1.3:
        return "clip them, np.clip(images, 0, 1), if a resize has carried them outside"
    if lowest >= 0:
        largest = 255 if highest <= 255 else 65535
        return f"divide them by {largest if 16 < highest <= largest else 'the value of white'}"
    if lowest >= -0.5 and highest <= 0.5:
        return "use images + 0.5"
    if lowest >= -1 - ROUNDING and highest <= 1 + ROUNDING:
        return "use (images + 1) / 2"
    if abs(array.mean(dtype=np.float64)) < 0.5 < array.std(dtype=np.float64) < 2:
        return (
            "they look standardised, so undo it: multiply them by the standard deviation and "
            "add the mean that they were made with"
        )
    return "use (images - images.min()) / (images.max() - images.min())"


def _not_finite(array):
    """Say how many NaNs and infinities there are."""
    counts = {"NaN": np.isnan(array).sum(), "infinity": np.isinf(array).sum()}
    return " and ".join(f"{name} ({count:,} ×)" for name, count in counts.items() if count)


def _split(images, labels):
    if images.array.shape[1:] != IMAGE_SHAPE[:2]:
        raise DataFileError(
            f"{images.path}: images must have shape (28, 28), got {images.array.shape[1:]}"
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
        kind = "a file" if directory.exists() else "missing"
        raise FileNotFoundError(
            f"{directory.absolute()} is {kind}, must be a directory with MNIST's IDX files"
        )
    paths, is_emnist = _find_files(directory)
    arrays = {
        name: _parse_idx(path, axes=3 if "images" in name else 1) for name, path in paths.items()
    }
    if is_emnist:  # its pictures are stored column by column
        for name in ("train_images", "test_images"):
            arrays[name] = np.ascontiguousarray(np.swapaxes(arrays[name], 1, 2))
    return {name: _Source(path, arrays[name]) for name, path in paths.items()}


def _find_files(directory):
    """Return the paths of the four files, and whether they are those of EMNIST."""
    names = sorted(path.name for path in directory.iterdir() if path.is_file())
    data_sets = _by_data_set(names)
    if "" not in data_sets and len(data_sets) > 1:
        splits = ", ".join(prefix.removesuffix("-") for prefix in data_sets)
        raise DataFileError(
            f"{directory} holds {len(data_sets)} data sets, must hold one: {splits}"
        )
    prefix = "" if "" in data_sets else next(iter(data_sets), "")
    files = data_sets.get(prefix, {})
    if files.keys() != IDX_FILES.keys():
        raise FileNotFoundError(_missing(directory, prefix, files, names))
    return {key: directory / files[key] for key in IDX_FILES}, prefix != ""


def _by_data_set(names):
    """Sort names of IDX files by the prefix of their data set; MNIST's own names have none."""
    data_sets = {}
    for found in filter(None, map(FILE_NAME.fullmatch, names)):
        part = "train" if found["part"] == "train" else "test"
        kind = "images" if found["images"] else "labels"
        files = data_sets.setdefault(found["prefix"] or "", {})
        # The first of the sorted names is kept: a plain file's, or one with a dash for a dot.
        files.setdefault(f"{part}_{kind}", found.string)
    return data_sets


def _missing(directory, prefix, files, names):
    """Say which files a directory lacks, and what it holds instead."""
    lacking = [name for key, name in IDX_FILES.items() if key not in files]
    if prefix:
        lacking = [prefix + name.replace("t10k", "test") for name in lacking]
    holds = ", ".join(names[:5]) + ", …" * (len(names) > 5) if names else "no files"
    return (
        f"{directory} lacks {', '.join(lacking)}; these names may end in .gz, have a dot before "
        f"idx, and start with one split of EMNIST, as in emnist-digits-train-images-idx3-ubyte; "
        f"the directory holds {holds}"
    )


def _parse_idx(path, axes):
    content = _read_bytes(path)
    if foreign := _foreign_kind(content):
        raise DataFileError(f"{path} is {foreign}, must be IDX data")
    header_size = 4 * (1 + axes)
    if len(content) < header_size:
        raise DataFileError(f"{path}: {len(content)} bytes, too short for an IDX header")
    _check_magic(path, content[:4], axes)
    shape = struct.unpack(f">{axes}I", content[4:header_size])
    expected = math.prod(shape)
    found = len(content) - header_size
    if found != expected:
        cut = ": it is truncated" if found < expected else ""
        raise DataFileError(
            f"{path}: {found:,} bytes of data, its header promises {expected:,}{cut}"
        )
    try:
        return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)
    except ValueError:  # no images, each larger than memory
        raise DataFileError(f"{path}: its header promises the shape {shape}") from None


def _read_bytes(path):
    """Return a file's bytes, unpacked if they are gzip data, whatever the file's name."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataFileError(f"{path} can't be read: {error}") from None


def _foreign_kind(content):
    """Say what a file is if a download or an archive left it where IDX data should be."""
    start = content[:200].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<"):
        return f"a web page ({start[:40].decode(errors='replace')!r})"
    if start.startswith(b"PK"):
        return "a NumPy archive (npz)" if b".npy" in start else "a zip archive (unpack it)"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (`git lfs pull` gets the data)"
    return None


def _check_magic(path, magic, axes):
    """Raise a DataFileError unless an IDX file's header promises bytes with so many axes."""
    zeros, kind, found = magic[:2], magic[2], magic[3]
    if zeros != b"\0\0" or kind not in IDX_KINDS or found == 0:
        raise DataFileError(
            f"{path} starts with {magic.hex(' ')}, IDX data must start with "
            f"00 00 {UNSIGNED_BYTE:02x} {axes:02x}"
        )
    if kind != UNSIGNED_BYTE:
        raise DataFileError(f"{path} holds {IDX_KINDS[kind]}, must hold {IDX_KINDS[UNSIGNED_BYTE]}")
    if found != axes:
        what = {1: "labels (1 axis)", 3: "images (3 axes)"}
        raise DataFileError(
            f"{path} holds {what.get(found, f'{found} axes')}, must hold {what[axes]}"
        )
