"""The chapter on odd images: its figures, and its second data set where that is at hand."""

import os
import re
from pathlib import Path

import nbformat
import pytest

import cae_lessons as cae

figures = cae.figures
CHAPTER = Path(__file__).parent.parent / "book" / "14_images_never_seen.ipynb"
DIRECTORY = os.environ.get("FASHION_MNIST")


def text_of(picture):
    """Return the texts of an SVG, which Matplotlib notes beside their outlines."""
    return re.findall(r"<!-- (.*?) *-->", picture.data.decode())


def stored_tables():
    """Return the HTML tables that are stored in the chapter."""
    cells = nbformat.read(CHAPTER, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]


def test_areas_have_a_dot_for_every_run():
    few = figures.areas({"4": {"net": [0.8, 0.9], "ink": 0.5}}, "left out")
    more = figures.areas({"4": {"net": [0.8, 0.85, 0.9], "ink": 0.5}}, "left out")
    assert more.data.count(b"<use ") - few.data.count(b"<use ") == 1
    assert {"4", "net", "ink", "left out"} <= set(text_of(few))


def test_roc_names_its_curves_and_points():
    drawn = figures.roc({"a score": ([0, 0, 1], [0, 1, 1])}, {"a threshold": (0.2, 0.9)})
    assert {"a score", "a threshold", "false alarms", "hits"} <= set(text_of(drawn))


def test_groups_keep_their_names_and_marks():
    drawn = figures.score_groups({"usual": [0.1, 0.2], "odd": [0.3, 0.4]}, "error", {"here": 0.25})
    assert {"usual", "odd", "error", "here"} <= set(text_of(drawn))


def test_the_page_shows_numbers_of_clothes():
    """Executed without Fashion-MNIST, the page would only say that it skipped them."""
    cells = nbformat.read(CHAPTER, as_version=4).cells
    printed = [output.get("text", "") for cell in cells for output in cell.get("outputs", [])]
    assert not [text for text in printed if "Skipped here" in text], (
        "execute the chapter with FASHION_MNIST set to a directory with the four files"
    )


@pytest.mark.skipif(not DIRECTORY, reason="needs Fashion-MNIST: set FASHION_MNIST to its directory")
def test_the_floors_of_clothes_are_those_on_the_page():
    clothes = cae.load_mnist(DIRECTORY)
    images = clothes.test.images
    floors = (
        cae.floors.all_black(images),
        cae.floors.mean_image(images),
        cae.floors.zero_fill(images),
        cae.floors.nearest(images),
        cae.floors.linear(clothes.train.images, images, 32),
    )
    (table,) = [each for each in stored_tables() if "zero-fill as last layer" in each]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.S)
    shown = [re.findall(r"<td>(.*?)</td>", row)[1] for row in rows if "<td>" in row]
    assert shown == [f"{floor:.3g}" for floor in floors]
