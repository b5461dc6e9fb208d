"""The figures of codes show the codes and the pictures that they are given."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

import cae_lessons as cae

figures = cae.figures


def pixels(picture):
    return imread(io.BytesIO(picture.data), format="png")[..., :3]


def test_mosaic_puts_each_picture_in_its_place():
    pictures = np.zeros((2, 2, 8, 8))
    pictures[0, 1] = 1  # the first row is on top
    upper, lower = np.array_split(pixels(figures.mosaic(pictures)), 2)
    left, right = np.array_split(upper, 2, axis=1)
    assert right.mean() > 0.9 > 0.1 > left.mean()
    assert lower.mean() < 0.1


def test_mosaic_leaves_blank_what_is_nan_and_tints_what_it_is_told():
    pictures = np.zeros((1, 2, 8, 8))
    pictures[0, 0] = np.nan
    left, right = np.array_split(
        pixels(figures.mosaic(pictures, tinted=[[False, True]])), 2, axis=1
    )
    assert 0.7 < np.median(left) < 0.8
    red, _, blue = np.median(right, axis=(0, 1))
    assert red > blue + 0.2


def test_code_plane_draws_a_plane_for_each_label_with_its_own_codes_in_blue():
    codes = np.random.default_rng(0).normal(size=(60, 2))
    drawn = pixels(figures.code_plane(codes, np.repeat([1, 4, 7], 20), columns=3))
    for plane in np.array_split(drawn, 3, axis=1):
        assert (plane[..., 2] > plane[..., 0] + 0.3).any()


def test_code_plane_wants_two_numbers_for_each_label():
    with pytest.raises(ValueError, match=r"shape \(3, 2\)"):
        figures.code_plane(np.zeros((3, 4)), [1, 2, 3])


def test_accuracies_name_every_size_and_all_three_kinds():
    svg = figures.accuracies(
        {2: [0.4, 0.5], 32: [0.9, 0.92]}, {2: 0.35, 32: 0.9, 784: 0.9}, 0.9, "right (%)"
    ).data.decode()
    for text in ("2", "32", "784", "nets", "principal components", "pixels", "right (%)"):
        assert f">{text}<" in svg or f"<!-- {text} -->" in svg
