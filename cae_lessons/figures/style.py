"""The one style of all figures, and what a notebook shows of them."""

import base64
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib
from cycler import cycler
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

# Okabe and Ito's colours can be told apart by the colour-blind.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
STYLE: dict[Any, Any] = {
    "axes.edgecolor": "#444444",
    "axes.grid": False,
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.facecolor": "white",
    "font.size": 11,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "svg.hashsalt": "cae_lessons",  # the same figure gives the same bytes
}
WIDTH = 6.4  # inches: the text column, so that the font keeps its size on the page
WIDE_FONT = 12  # points, for figures as wide as the column: 9 pixels on a phone
NARROW = 4.8  # inches: on a phone a font of 9 points has 9 pixels


class Picture:
    """A finished figure that a notebook shows and `save` writes.

    Attributes
    ----------
    data : bytes
        The file's content.
    kind : {"svg", "png"}
        The file's format.
    """

    def __init__(self, data: bytes, kind: Literal["svg", "png"]):
        self.data = data
        self.kind = kind

    def __repr__(self) -> str:
        return f"<{self.kind} picture>"

    def _repr_mimebundle_(self, **_):
        if self.kind == "svg":
            return {"image/svg+xml": self.data.decode()}
        return {"image/png": base64.b64encode(self.data).decode()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file; a name that doesn't end in its `kind` is a ValueError."""
        if Path(path).suffix != f".{self.kind}":
            raise ValueError(f"the picture is {self.kind}, its name must end so, got {path}")
        Path(path).write_bytes(self.data)


def grid(rows, columns, cell, label=0.0, width=WIDTH):
    """Return a figure and its axes, (rows, columns): square cells, with room for a title each."""
    with matplotlib.rc_context(STYLE):
        figure = Figure((width, rows * (cell + label) + 0.05), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis in axes.flat:
            axis.set(xticks=[], yticks=[])
        return figure, axes


def write_decimals(axis: Axis, subs: Sequence[float] = (1, 2, 5)) -> None:
    """Give a logarithmic axis ticks that are written as decimals, and no others."""
    axis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))
    axis.set_minor_locator(NullLocator())


def svg(figure: Figure) -> Picture:
    """Return a figure of lines as SVG."""
    stream = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return Picture(stream.getvalue(), "svg")


def png(figure: Figure) -> Picture:
    """Return a figure of pixels as PNG."""
    stream = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
    return Picture(stream.getvalue(), "png")
