import gzip
import hashlib
import inspect
import io
import re
import socket
import struct
import tracemalloc
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reference import idx_bytes

from cae_lessons import load_mnist
from cae_lessons.mnist import (
    IDX_FILES,
    PACKAGED,
    DataFileError,
    _parse_idx,
    _read_packaged,
    check_images,
    takes_images,
)

MD5 = {  # of the files on Yann LeCun's page
    "x_train": "6bbc9ace898e44ae57da46a324031adb",
    "y_train": "a25bea736e30d166cdddb491f175f624",
    "x_test": "2646ac647ad5339dbf082846283269ea",
    "y_test": "27ae3e4e09519cfbb04c329615203637",
}


@pytest.fixture(scope="module")
def archive():
    with np.load(PACKAGED) as archive:
        return dict(archive)


@pytest.mark.parametrize("name", MD5)
def test_packaged_bytes_are_the_canonical_ones(archive, name):
    assert hashlib.md5(idx_bytes(archive[name])).hexdigest() == MD5[name]


def test_split_is_tensorflow_1s(digits, archive):
    bytes_of = {name: np.rint(getattr(digits, name).images * 255) for name in digits._fields}
    np.testing.assert_array_equal(bytes_of["validation"][..., 0], archive["x_train"][:5000])
    np.testing.assert_array_equal(bytes_of["train"][..., 0], archive["x_train"][5000:])
    np.testing.assert_array_equal(bytes_of["test"][..., 0], archive["x_test"])
    np.testing.assert_array_equal(digits.validation.labels, archive["y_train"][:5000])
    np.testing.assert_array_equal(digits.train.labels, archive["y_train"][5000:])
    np.testing.assert_array_equal(digits.test.labels, archive["y_test"])


@pytest.mark.parametrize(
    ("part", "count"), [("train", 55000), ("validation", 5000), ("test", 10000)]
)
def test_shapes_and_dtypes(digits, part, count):
    images, labels = getattr(digits, part)
    assert images.shape == (count, 28, 28, 1)
    assert images.dtype == np.float32
    assert labels.shape == (count,)
    assert labels.dtype == np.int64
    assert set(labels) == set(range(10))


def test_pixels_are_exactly_the_bytes_over_255(digits, archive):
    grey = (np.arange(256) / 255).astype(np.float32)
    np.testing.assert_array_equal(digits.test.images[..., 0], grey[archive["x_test"]])
    assert digits.test.images.min() == 0
    assert digits.test.images.max() == 1


def test_loading_needs_no_network_and_prints_nothing(monkeypatch, capfd):
    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    load_mnist()
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def source():
    """Return a small data set in MNIST's format, as four arrays of bytes."""
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (5010, 28, 28), np.uint8),
        "train_labels": rng.integers(0, 10, 5010, np.uint8),
        "test_images": rng.integers(0, 256, (20, 28, 28), np.uint8),
        "test_labels": rng.integers(0, 10, 20, np.uint8),
    }


def write(directory, arrays, compressed=False):
    directory.mkdir(exist_ok=True)
    for name, array in arrays.items():
        content = idx_bytes(array)
        if compressed:
            content = gzip.compress(content, compresslevel=1)
        (directory / f"{IDX_FILES[name]}{'.gz' * compressed}").write_bytes(content)
    return directory


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [str, Path])
def test_directory_of_idx_files(tmp_path, source, compressed, kind):
    digits = load_mnist(kind(write(tmp_path, source, compressed)))
    pixels = (np.arange(256) / 255).astype(np.float32)
    for split, part, rows in (
        (digits.validation, "train", slice(5000)),
        (digits.train, "train", slice(5000, None)),
        (digits.test, "test", slice(None)),
    ):
        expected = pixels[source[f"{part}_images"][rows]][..., np.newaxis]
        np.testing.assert_array_equal(split.images, expected, strict=True)
        np.testing.assert_array_equal(
            split.labels, source[f"{part}_labels"][rows].astype(np.int64), strict=True
        )


def test_one_compressed_file_among_plain_ones(tmp_path, source):
    write(tmp_path, source)
    plain = tmp_path / IDX_FILES["test_labels"]
    plain.with_name(f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    np.testing.assert_array_equal(load_mnist(tmp_path).test.labels, source["test_labels"])


def test_bytes_are_unpacked_whatever_their_name_says(tmp_path, source):
    write(tmp_path, source)
    plain = tmp_path / IDX_FILES["test_images"]
    plain.rename(f"{plain}.gz")
    labels = tmp_path / IDX_FILES["test_labels"]
    labels.write_bytes(gzip.compress(labels.read_bytes()))
    test = load_mnist(tmp_path).test
    np.testing.assert_array_equal(np.rint(255 * test.images[..., 0]), source["test_images"])
    np.testing.assert_array_equal(test.labels, source["test_labels"])


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_names_with_a_dot(tmp_path, source, suffix):
    for path in write(tmp_path, source, compressed=suffix == ".gz").iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
        (tmp_path / path.name).mkdir()  # as in an archive of the net's that has both
    test = load_mnist(tmp_path).test
    np.testing.assert_array_equal(np.rint(255 * test.images[..., 0]), source["test_images"])


def write_emnist(directory, source, split):
    """Write a data set as EMNIST does: under its names, with each picture transposed."""
    for name, array in source.items():
        part, _, rest = IDX_FILES[name].replace("t10k", "test").partition("-")
        array = array.transpose(0, 2, 1) if array.ndim == 3 else array
        path = directory / f"emnist-{split}-{part}-{rest}"
        path.write_bytes(idx_bytes(np.ascontiguousarray(array)))


def test_emnist_is_turned_the_right_way_round(tmp_path, source):
    labels = np.arange(5010, dtype=np.uint8) % 26 + 1
    write_emnist(tmp_path, {**source, "train_labels": labels}, "letters")
    digits = load_mnist(tmp_path)
    np.testing.assert_array_equal(
        np.rint(255 * digits.validation.images[..., 0]), source["train_images"][:5000]
    )
    np.testing.assert_array_equal(np.rint(255 * digits.test.images[..., 0]), source["test_images"])
    np.testing.assert_array_equal(digits.train.labels, labels[5000:])
    assert digits.test.images.flags.c_contiguous


def test_several_splits_of_emnist_are_named(tmp_path, source):
    for split in ("letters", "digits"):
        write_emnist(tmp_path, source, split)
    with pytest.raises(DataFileError, match=r"holds 2 data sets.*emnist-digits, emnist-letters"):
        load_mnist(tmp_path)


def test_mnists_own_names_come_before_those_of_emnist(tmp_path, source):
    for split in ("letters", "digits"):
        write_emnist(tmp_path, {**source, "test_images": 255 - source["test_images"]}, split)
    test = load_mnist(write(tmp_path, source)).test
    np.testing.assert_array_equal(np.rint(255 * test.images[..., 0]), source["test_images"])


def test_missing_file_of_emnist_is_named(tmp_path, source):
    write_emnist(tmp_path, source, "digits")
    (tmp_path / "emnist-digits-test-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="lacks emnist-digits-test-labels-idx1-ubyte;"):
        load_mnist(tmp_path)


def test_missing_directory_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is missing, must be a directory"):
        load_mnist(tmp_path / "nowhere")
    (tmp_path / "mnist.npz").touch()
    with pytest.raises(FileNotFoundError, match=r"mnist\.npz is a file, must be a directory"):
        load_mnist(tmp_path / "mnist.npz")


@pytest.mark.parametrize("name", IDX_FILES)
def test_missing_file_is_named(tmp_path, source, name):
    write(tmp_path, source)
    (tmp_path / IDX_FILES[name]).unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {IDX_FILES[name]};"):
        load_mnist(tmp_path)


def test_directory_of_something_else_says_what_it_holds(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"lacks {', '.join(IDX_FILES.values())}; .*"
                       "the directory holds no files"):  # fmt: skip
        load_mnist(tmp_path)
    for number in range(7):
        (tmp_path / f"{number}.png").touch()
    with pytest.raises(FileNotFoundError, match=r"holds 0\.png, 1\.png, .*, 4\.png, …"):
        load_mnist(tmp_path)


def npz():
    stream = io.BytesIO()
    np.savez(stream, x_train=np.zeros(3))
    return stream.getvalue()


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("train-images-idx3-ubyte", idx_bytes(SMALL))
    return stream.getvalue()


SMALL = np.random.default_rng(1).integers(0, 256, (2, 3, 4), np.uint8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html>", "a web page .*DOCTYPE html.*must be IDX data"),
        (gzip.compress(b"<html></html>", mtime=0), "is a web page"),
        (npz(), r"is a NumPy archive \(npz\), must be IDX data"),
        (zipped(), r"is a zip archive \(unpack it\), must be IDX data"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a Git LFS pointer"),
        (b"\x89PNG\r\n\x1a\n........", "starts with 89 50 4e 47, .*must start with 00 00 08 03"),
        (b"\0\0\x0d\3" + bytes(12), "holds 32-bit floats, must hold unsigned bytes"),
        (b"\0\0\x09\3" + bytes(12), "holds signed bytes, must hold unsigned bytes"),
        (idx_bytes(SMALL[0, 0]) + bytes(20), r"holds labels \(1 axis\), must hold images"),
        (idx_bytes(SMALL[0]) + bytes(20), r"holds 2 axes, must hold images \(3 axes\)"),
        (idx_bytes(SMALL)[:-1], "23 bytes of data, its header promises 24: it is truncated"),
        (idx_bytes(SMALL) + b"\0", "25 bytes of data, its header promises 24$"),
        (gzip.compress(idx_bytes(SMALL), mtime=0)[:-9], "can't be read: Compressed file ended"),
    ],
)
def test_what_is_there_instead_of_images_is_named(tmp_path, content, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=message) as caught:
        _parse_idx(path, axes=3)
    assert str(path) in str(caught.value)


def test_images_instead_of_labels_are_named(tmp_path):
    path = tmp_path / "train-labels-idx1-ubyte"
    path.write_bytes(idx_bytes(SMALL))
    with pytest.raises(DataFileError, match=r"holds images \(3 axes\), must hold labels"):
        _parse_idx(path, axes=1)


@pytest.mark.parametrize("name", IDX_FILES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:7],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: b"\0\0\x0d" + content[3:],  # floats
        lambda content: b"\0\0\x08\x02" + content[4:],  # two axes
        lambda content: content[::-1],
    ],
    ids=["empty", "header", "truncated", "longer", "floats", "axes", "reversed"],
)
def test_damaged_file_is_named(tmp_path, source, name, damage):
    path = write(tmp_path, source) / IDX_FILES[name]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataFileError, match=IDX_FILES[name]):
        load_mnist(tmp_path)


@pytest.mark.parametrize("name", IDX_FILES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:15],
        lambda content: content[:-1],
        lambda content: content[:-8] + b"\0" + content[-7:],
        lambda content: content[:40] + bytes(20) + content[60:],
    ],
    ids=["empty", "header", "truncated", "checksum", "middle"],
)
def test_damaged_compressed_file_is_named(tmp_path, source, name, damage):
    small = {key: array[:5001] for key, array in source.items()}
    path = write(tmp_path, small, compressed=True) / f"{IDX_FILES[name]}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataFileError, match=path.name):
        load_mnist(tmp_path)


@pytest.mark.parametrize("name", ["train_images", "test_images"])
@pytest.mark.parametrize("shape", [(27, 28), (28, 29), (28, 0), (784, 1)])
def test_images_of_another_shape_are_named(tmp_path, source, name, shape):
    images = np.zeros((len(source[name]), *shape), np.uint8)
    write(tmp_path, {**source, name: images})
    with pytest.raises(DataFileError, match=rf"{IDX_FILES[name]}.*\({shape[0]}, {shape[1]}\)"):
        load_mnist(tmp_path)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("kind", ["images", "labels"])
def test_unequal_counts_are_named(tmp_path, source, part, kind):
    name = f"{part}_{kind}"
    write(tmp_path, {**source, name: source[name][:-1]})
    file_names = f"{IDX_FILES[f'{part}_images']}|{IDX_FILES[f'{part}_labels']}"
    count = len(source[name])
    with pytest.raises(DataFileError, match=file_names) as caught:
        load_mnist(tmp_path)
    assert f"{count:,}" in str(caught.value)
    assert f"{count - 1:,}" in str(caught.value)


@pytest.mark.parametrize("count", [0, 4999, 5000])
def test_too_few_training_images_are_named(tmp_path, source, count):
    few = {name: source[name][:count] for name in ("train_images", "train_labels")}
    write(tmp_path, {**source, **few})
    with pytest.raises(DataFileError, match=rf"{IDX_FILES['train_images']}.*{count:,}"):
        load_mnist(tmp_path)


def test_one_training_image_is_enough(tmp_path, source):
    few = {name: source[name][:5001] for name in ("train_images", "train_labels")}
    digits = load_mnist(write(tmp_path, {**source, **few}))
    assert digits.train.images.shape == (1, 28, 28, 1)


def damaged(content):
    """Return a strategy: `content` with up to five bits flipped, then perhaps cut short."""

    def damage(flips, size):
        result = bytearray(content)
        for bit in flips:
            result[bit // 8] ^= 1 << bit % 8
        return bytes(result[:size])

    return st.builds(
        damage,
        st.lists(st.integers(0, 8 * len(content) - 1), max_size=5),
        st.just(None) | st.integers(0, len(content)),
    )


@given(damaged(idx_bytes(SMALL)))
@example(struct.pack(">4I", 0x0803, 0, 2**32 - 1, 2**32 - 1))
@example(struct.pack(">4I", 0x0803, 2**32 - 1, 2**32 - 1, 2**32 - 1))
def test_any_damage_to_an_idx_file_is_a_data_file_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "damaged-idx3-ubyte"
    path.write_bytes(content)
    try:
        array = _parse_idx(path, axes=3)
    except DataFileError as error:
        assert path.name in str(error)  # noqa: PT017
    else:
        assert array.dtype == np.uint8
        assert array.ndim == 3
        assert array.tobytes() == content[16:]


@given(damaged(gzip.compress(idx_bytes(SMALL), mtime=0)))
def test_any_damage_to_a_gzip_file_is_a_data_file_error_or_harmless(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "damaged-idx3-ubyte.gz"
    path.write_bytes(content)
    try:
        array = _parse_idx(path, axes=3)
    except DataFileError as error:
        assert path.name in str(error)  # noqa: PT017
    else:
        np.testing.assert_array_equal(array, SMALL, strict=True)


@pytest.fixture(scope="module")
def small_archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "small.npz"
    arrays = dict.fromkeys(MD5, np.arange(12, dtype=np.uint8))
    np.savez_compressed(path, **arrays)
    return path.read_bytes()


def test_undamaged_archive_is_read(tmp_path, small_archive):
    (tmp_path / "mnist.npz").write_bytes(small_archive)
    arrays = _read_packaged(tmp_path / "mnist.npz")
    assert set(arrays) == set(IDX_FILES)
    np.testing.assert_array_equal(arrays["test_labels"].array, np.arange(12))


def test_missing_archive_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mnist\.npz"):
        _read_packaged(tmp_path / "mnist.npz")


def in_directory_entry(content, offset, value):
    """Change a byte of the archive's first central directory entry."""
    content = bytearray(content)
    content[content.index(b"PK\x01\x02") + offset] = value
    return bytes(content)


def as_npy(_):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"no archive",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content.replace(b"y_test", b"y_tset"),
        lambda content: content[:60] + bytes(20) + content[80:],
        lambda content: in_directory_entry(content, 8, 1),  # encrypted
        lambda content: in_directory_entry(content, 10, 99),  # unknown compression
        as_npy,
    ],
    ids=["empty", "text", "half", "last", "name", "middle", "encrypted", "method", "npy"],
)
def test_damaged_archive_is_named(tmp_path, small_archive, damage):
    path = tmp_path / "mnist.npz"
    path.write_bytes(damage(small_archive))
    with pytest.raises(DataFileError, match=r"mnist\.npz is damaged"):
        _read_packaged(path)


SOME = np.random.default_rng(2).random((3, 28, 28, 1), np.float32)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.float32(0.5), "images are a float32, must be an array of shape"),
        (None, "images are a NoneType, must be an array"),
        ("images.npy", "images are a str, must be an array"),
        (np.zeros((0, 28, 28, 1)), r"empty, shape \(0, 28, 28, 1\)"),
        (np.zeros((1, 0, 28, 1)), "empty"),
        (np.zeros((1, 2, 2, 1), complex), "dtype complex128, must be floats"),
        (np.full((1, 2, 2, 1), "0.5"), "dtype <U3, must be floats"),
        (np.full((1, 2, 2, 1), None), "dtype object, must be floats"),
        (np.array([0.5, np.nan]).reshape(1, 2, 1, 1), r"contain NaN \(1 ×\), must"),
        (np.array([np.inf, 2.0, np.nan, np.nan]).reshape(1, 4, 1, 1),
         r"contain NaN \(2 ×\) and infinity \(1 ×\), must"),
        (np.array([0.5, -np.inf]).reshape(1, 2, 1, 1), r"contain infinity \(1 ×\), must"),
        ([np.zeros((2, 2, 1)), np.zeros((3, 2, 1))],
         r"differ in shape, must all have one, got \(2, 2, 1\), \(3, 2, 1\)$"),
    ],
)  # fmt: skip
def test_check_images_says_what_is_wrong(images, message):
    with pytest.raises(ValueError, match=message):
        check_images(images)


def test_check_images_names_the_field_that_was_meant(digits):
    with pytest.raises(ValueError, match=r"images are a Split, must be its array: \.images"):
        check_images(digits.train)
    with pytest.raises(ValueError, match=r"images are a Digits, .*\.train\.images or"):
        check_images(digits)


def test_check_images_names_what_is_not_an_array():
    import tensorflow as tf

    with pytest.raises(ValueError, match="images are a _BatchDataset, must be an array"):
        check_images(tf.data.Dataset.from_tensor_slices(SOME).batch(2))
    with pytest.raises(ValueError, match=r"images are a KerasTensor, must be an array: .*symbolic"):
        check_images(keras.Input((28, 28, 1)))


def test_check_images_of_an_array_of_arrays():
    images = np.empty(2, object)
    images[:] = [np.zeros((2, 2, 1)), np.zeros((3, 2, 1))]
    with pytest.raises(ValueError, match=r"differ in shape, .*\(2, 2, 1\), \(3, 2, 1\)"):
        check_images(images)
    images[1] = images[0]
    with pytest.raises(ValueError, match=r"separate arrays of shape \(2, 2, 1\).*np\.stack"):
        check_images(images)


# What images often are instead, the shape that is wanted, and the images that are meant.
MISSHAPED = {
    "without channels": (SOME[..., 0], None, SOME),
    "without channels, for a model": (SOME[..., 0], (28, 28, 1), SOME),
    "one image": (SOME[0], None, SOME[:1]),
    "one image in colour": (np.zeros((28, 28, 3)), None, np.zeros((1, 28, 28, 3))),
    "one plane": (SOME[0, ..., 0], None, SOME[:1]),
    "flat": (SOME.reshape(3, 784), None, SOME),
    "flat colour": (np.zeros((2, 3072)), (32, 32, 3), np.zeros((2, 32, 32, 3))),
    "flat oblong": (np.zeros((2, 48)), (6, 8, 1), np.zeros((2, 6, 8, 1))),
    "one flat image": (SOME[0].ravel(), (28, 28, 1), SOME[:1]),
    "batches": (SOME[None], None, SOME),
    "channels first": (SOME.reshape(3, 1, 28, 28), None, SOME),
    "channels first, any size": (SOME.reshape(3, 1, 28, 28), (None, None, 1), SOME),
    "colours first": (np.zeros((2, 3, 32, 32)), (32, 32, 3), np.zeros((2, 32, 32, 3))),
    "channels last": (SOME, (1, 28, 28), SOME.reshape(3, 1, 28, 28)),
}


@pytest.mark.parametrize("case", MISSHAPED)
def test_check_images_names_an_expression_that_gives_the_right_shape(case):
    images, shape, meant = MISSHAPED[case]
    with pytest.raises(ValueError, match="must have shape") as caught:
        check_images(images, shape)
    mend = str(caught.value).split(": use ")[1]
    mended = eval(mend, {"images": images, "np": np})
    np.testing.assert_array_equal(check_images(mended, shape), meant.astype(np.float32))


@pytest.mark.parametrize("shape", [(28, 28, 3), (28, 27, 1), (14, 14, 1)])
def test_check_images_of_another_shape(shape):
    message = re.escape(f"must have shape (n, 28, 28, 1), got {(2, *shape)}")
    with pytest.raises(ValueError, match=f"{message}$"):
        check_images(np.zeros((2, *shape), np.float32), (28, 28, 1))


def test_check_images_of_any_size():
    for shape in ((None, None, 1), (28, None, 1), (None, None, None)):
        assert check_images(SOME, shape) is SOME
    with pytest.raises(ValueError, match=r"shape \(n, height, 27, 1\), got \(3, 28, 28, 1\)"):
        check_images(SOME, (None, 27, 1))


@pytest.mark.parametrize("shape", [(784,), (28, 28)])
@pytest.mark.parametrize("images", [SOME, SOME.reshape(3, 784)])
def test_check_images_says_how_to_wrap_a_model_that_takes_no_channels(images, shape):
    model = keras.Sequential([keras.Input(shape), keras.layers.Activation("linear")])
    with pytest.raises(ValueError, match=r"the model takes arrays of shape \(n, ") as caught:
        check_images(images, shape)
    expression, _, reshape = str(caught.value).partition("wrap it, ")[2].partition("; ")
    wrapped = eval(expression, {"keras": keras, "model": model})
    np.testing.assert_array_equal(wrapped(SOME), SOME)
    assert ("images.reshape(-1, 28, 28, 1)" in reshape) == (images.ndim == 2)


def test_check_images_of_a_model_whose_images_are_not_known():
    with pytest.raises(ValueError, match=r"\(n, 10\), must take images \(n, height, width"):
        check_images(np.zeros((3, 10)), (10,))


# What was done to the images; nothing, where what undoes it can't be an expression.
RESCALED = {
    "bytes": (lambda x: 255 * x, "divide them by 255"),
    "dark bytes": (lambda x: 100 * x, "divide them by 255"),
    "two bytes": (lambda x: 65535 * x, "divide them by 65535"),
    "sklearn's": (lambda x: 16 * x, "divide them by the value of white"),
    "tanh": (lambda x: 2 * x - 1, "use (images + 1) / 2"),
    "centred": (lambda x: x - 0.5, "use images + 0.5"),
    "percent about 0": (lambda x: 200 * x - 100, "use (images - images.min()) / "),
    "resized": (lambda x: 1.04 * x - 0.02, "clip them, np.clip(images, 0, 1)"),
    "standardised": (lambda x: (x - 0.5) / 0.29, "they look standardised"),
}


@pytest.mark.parametrize("case", RESCALED)
def test_check_images_names_what_brings_them_to_scale(case):
    rescale, mend = RESCALED[case]
    images = rescale((SOME - SOME.min()) / (SOME.max() - SOME.min()))
    with pytest.raises(ValueError, match=re.escape(mend)) as caught:
        check_images(images)
    assert f"lie in [{images.min():g}, {images.max():g}], must lie in [0, 1]" in str(caught.value)


@pytest.mark.parametrize(
    ("images", "mend"),
    [
        ((255 * SOME).astype(np.uint8), "uint8, .*: divide them by 255"),
        (np.zeros((1, 2, 2, 1), np.uint8), "uint8, .*: divide them by 255"),
        ((255 * SOME).astype(int), r"int64, .*: they lie in \[0, 254\], divide them by 255"),
        ((65535 * SOME).astype(np.uint16), "uint16, .*: they lie in .*, divide them by 65535"),
        (SOME > 0.5, r'bool, .*: use images\.astype\("float32"\)'),
        ((SOME > 0.5).astype(np.uint8), r'uint8, .*: use images\.astype\("float32"\)'),
    ],
)
def test_check_images_of_whole_numbers(images, mend):
    with pytest.raises(ValueError, match=f"images have dtype {mend}"):
        check_images(images)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_check_images_forgives_rounding(dtype):
    images = np.array([-0.0009, 0.0, 0.25, 1.0009], dtype).reshape(1, 2, 2, 1)
    before = images.copy()
    expected = np.array([0, 0, 0.25, 1], np.float32).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(check_images(images), expected, strict=True)
    np.testing.assert_array_equal(images, before)  # the caller's own stay


@pytest.mark.parametrize("images", [[[[[0.0], [1.002]]]], [[[[-0.002], [1.0]]]]])
def test_check_images_forgives_no_more(images):
    with pytest.raises(ValueError, match=r"lie in \[.*0.*002.*\], must lie in"):
        check_images(images)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_check_images_returns_other_floats_as_float32(dtype):
    images = np.array([0, 0.25, 0.5, 1], dtype).reshape(1, 2, 2, 1)
    checked = check_images(images, (2, 2, 1))
    np.testing.assert_array_equal(checked, images.astype(np.float32), strict=True)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_check_images_takes_tensors(dtype):
    images = np.array([0, 0.25, 0.5, 1], np.float32).reshape(1, 2, 2, 1)
    tensor = keras.ops.convert_to_tensor(images, dtype)
    np.testing.assert_array_equal(check_images(tensor), images, strict=True)


def test_check_images_takes_nested_lists():
    np.testing.assert_array_equal(
        check_images([[[[0.0], [1.0]]]]), np.array([[[[0], [1]]]], np.float32), strict=True
    )


def test_check_images_copies_nothing():
    images = np.full((500, 28, 28, 1), 0.5, np.float32)
    tracemalloc.start()
    assert check_images(images) is images
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < images.nbytes / 20


@takes_images
def brightest(pictures, floor=0.0):
    """Return the brightest pixel."""
    return max(float(pictures.max()), floor)


def test_takes_images_checks_the_first_argument_only():
    assert brightest([[[[0.0], [0.5]]]]) == 0.5
    assert brightest(pictures=[[[[0.0], [0.5]]]], floor=0.75) == 0.75
    for call in (brightest, lambda x: brightest(pictures=x)):
        with pytest.raises(ValueError, match="divide them by 255"):
            call(255 * SOME)
    with pytest.raises(TypeError, match="missing a required argument: 'pictures'"):
        brightest()


def test_takes_images_keeps_the_function_as_it_was():
    assert brightest.unchecked(np.array([7.0])) == 7
    assert brightest.__name__ == "brightest"
    assert brightest.__doc__ == "Return the brightest pixel."
    assert str(inspect.signature(brightest)) == "(pictures, floor=0.0)"
