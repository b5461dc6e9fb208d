import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cae_lessons import floors

# Two pictures of two pixels.
SMALL = np.array([[0.0, 0.5], [0.5, 1.0]]).reshape(2, 1, 2, 1)

pictures = arrays(
    np.float32,
    array_shapes(min_dims=4, max_dims=4, max_side=4),
    elements=st.floats(0, 1, width=32),
)
greys = st.floats(-1, 2)


def error(picture, images):
    """Return the mean squared error by a plain loop."""
    total, picture = 0.0, np.broadcast_to(picture, images.shape)
    for index in np.ndindex(images.shape):
        total += (float(images[index]) - float(picture[index])) ** 2
    return total / images.size


@pytest.mark.parametrize(
    ("floor", "expected"),
    [
        (floors.all_black, (0 + 0.25 + 0.25 + 1) / 4),
        (floors.constant, (0.25 + 0 + 0 + 0.25) / 4),  # about 0.5
        (floors.mean_image, 0.0625),  # about 0.25 and 0.75
    ],
)
def test_floor_by_hand(floor, expected):
    assert floor(SMALL) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("floor", "expected"),
    [(floors.all_black, 0.113958), (floors.constant, 0.096398), (floors.mean_image, 0.067408)],
)
def test_floor_of_the_test_images(digits, floor, expected):
    assert floor(digits.test.images) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("floor", [floors.all_black, floors.constant, floors.mean_image])
def test_floor_of_many_pixels_loses_no_digits(floor):
    # Sums in float32 would lose them, and a variance by E[x²] − E[x]² would cancel.
    images = np.full((2**12, 32, 32, 1), 0.1, np.float32)
    images[::2] += np.float32(0.01)
    low, high = float(images[1, 0, 0, 0]), float(images[0, 0, 0, 0])
    expected = (low**2 + high**2) / 2 if floor is floors.all_black else ((high - low) / 2) ** 2
    assert floor(images) == pytest.approx(expected, rel=1e-7)


@given(pictures)
def test_black_attains_its_floor(images):
    assert floors.all_black(images) == pytest.approx(error(0.0, images), abs=1e-9)


@given(pictures, greys)
def test_no_grey_beats_its_floor(images, grey):
    assert error(grey, images) >= floors.constant(images) - 1e-9


@given(pictures)
def test_the_mean_grey_attains_its_floor(images):
    grey = sum(float(x) for x in images.flat) / images.size
    assert floors.constant(images) == pytest.approx(error(grey, images), abs=1e-9)


@given(pictures, st.data())
def test_no_picture_beats_its_floor(images, data):
    picture = data.draw(arrays(np.float64, images.shape[1:], elements=greys))
    assert error(picture, images) >= floors.mean_image(images) - 1e-9


@given(pictures)
def test_the_mean_picture_attains_its_floor(images):
    picture = sum(image.astype(float) for image in images) / len(images)
    assert floors.mean_image(images) == pytest.approx(error(picture, images), abs=1e-9)


@given(pictures)
def test_more_freedom_has_a_lower_floor(images):
    black, grey, picture = (
        floor(images) for floor in (floors.all_black, floors.constant, floors.mean_image)
    )
    assert black >= grey - 1e-12
    assert grey >= picture - 1e-12


@pytest.mark.parametrize("floor", [floors.all_black, floors.constant, floors.mean_image])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28, 1)), "shape"),
        (np.zeros((0, 28, 28, 1)), "empty"),
        (np.zeros((1, 2, 2, 1), np.uint8), "uint8"),
        (np.full((1, 2, 2, 1), 1.5), r"\[0, 1\]"),
        (np.full((1, 2, 2, 1), np.nan), "NaN"),
    ],
)
def test_floor_of_no_images(floor, images, message):
    with pytest.raises(ValueError, match=message):
        floor(images)


@pytest.mark.parametrize("floor", [floors.all_black, floors.constant, floors.mean_image])
def test_floor_is_a_python_float(floor):
    assert type(floor(SMALL)) is float
