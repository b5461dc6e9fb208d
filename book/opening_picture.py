"""Draw the picture that opens the book: the best that decoders of some kinds can draw.

    python book/opening_picture.py        writes _static/floors.png

Nothing is trained for it: the pictures and their losses follow from the images alone.
"""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import cae_lessons as cae
from cae_lessons.figures.style import STYLE, Picture, png

FILE = Path(__file__).parent / "_static" / "floors.png"
DIGITS = 6
LABELS, CELL = 1.75, 0.62  # inches


def best_pictures(images):
    """Return, by the names of the decoders, their floors and their best pictures."""
    blocks = images.reshape(-1, 14, 2, 14, 2, 1)
    means = blocks.mean(axis=(2, 4), keepdims=True)
    nearest = np.broadcast_to(means, blocks.shape).reshape(images.shape)
    corners = images * cae.layers.corner_mask((28, 28), pool_size=2)
    return {
        "nearest-neighbour\nresize last": (
            cae.floors.nearest(images),
            nearest,
        ),
        "zero-fill last": (cae.floors.zero_fill(images), corners),
        "dead": (cae.floors.all_black(images), np.zeros_like(images)),
    }


def draw():
    """Return the picture, a row for each kind of decoder under a row of images."""
    images = cae.load_mnist().test.images
    rows = {"test images": images}
    for name, (floor, pictures) in best_pictures(images).items():
        loss = np.mean(np.square(pictures - images), dtype=np.float64)
        if not np.isclose(loss, floor, rtol=1e-4):
            raise ValueError(f"{name!r} loses {loss}, its floor is {floor}")
        rows[f"{name}\nloss {floor:.4f}"] = pictures
    return _draw_rows(rows)


def _draw_rows(rows) -> Picture:
    with matplotlib.rc_context(STYLE):
        width, height = LABELS + CELL * DIGITS, CELL * len(rows)
        figure = Figure((width, height))
        for row, (label, pictures) in enumerate(rows.items()):
            bottom = 1 - (row + 1) * CELL / height
            middle = bottom + CELL / height / 2
            figure.text(
                (LABELS - 0.08) / width,
                middle,
                label,
                ha="right",
                va="center",
            )
            for column, picture in enumerate(pictures[:DIGITS]):
                left = (LABELS + column * CELL) / width
                place = left, bottom, CELL / width, CELL / height
                axis = figure.add_axes(place, xticks=[], yticks=[])
                axis.imshow(picture[..., 0], cmap="gray", vmin=0, vmax=1)
                axis.spines[:].set(visible=True, color="white", linewidth=2)
        return png(figure)


if __name__ == "__main__":
    draw().save(FILE)
