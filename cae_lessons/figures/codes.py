"""What a code costs, in numbers and in bits, and how a net does on images it didn't train on."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike

from cae_lessons.figures.style import COLORS, NARROW, STYLE, Picture, svg, write_decimals

NOTHING = 0.5  # where a code of 0 numbers stands on a logarithmic axis
GREY = "#666666"


def code_sizes(
    line: ArrayLike,
    runs: Mapping[str, Mapping[int, ArrayLike]],
    marked: Mapping[str, tuple[int, float]],
    line_label: str = "PCA",
) -> Picture:
    """Draw losses over how many numbers the code has, both axes logarithmic.

    Parameters
    ----------
    line : array_like
        Shape (n,): the losses of PCA with 0, 1, 2, … numbers.
    runs : dict of str to dict
        For each kind of net a label, and for each size of its code the losses of its runs.
    marked : dict of str to tuple
        Labels, and the size of the code and the loss of single nets.  A dotted line leads from
        each to the size at which PCA has the same loss.
    line_label : str

    Returns
    -------
    Picture
        SVG; a dot for each run, a line through the medians.  The size 0 stands at the left end.

    Examples
    --------
    >>> code_sizes([0.1, 0.05, 0.01], {"a net": {1: [0.04, 0.05]}}, {"wide": (4, 0.02)}).kind
    'svg'
    """
    line = np.asarray(line)
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 4.3), layout="constrained")
        axis = figure.subplots()
        shown = line >= _least(runs, marked) / 2
        axis.plot(_place(np.arange(len(line)))[shown], line[shown], color="black", label=line_label)
        for (label, sizes), color, dot in zip(runs.items(), COLORS, "oDs^", strict=False):
            medians = [np.median(losses) for losses in sizes.values()]
            axis.plot(_place(list(sizes)), medians, color=color, linewidth=1.2)
            for size, losses in sizes.items():
                axis.plot(_place([size] * len(losses)), losses, dot, color=color, ms=3.2, mew=0,
                          alpha=0.7, label=label)  # fmt: skip
                label = None
        for name, (size, loss) in marked.items():
            equal = np.argmax(line <= loss)
            axis.plot(_place([equal, size]), [loss, loss], ":", color=GREY, linewidth=1, zorder=0)
            axis.plot(size, loss, "s", color=GREY, ms=5)
            axis.annotate(name, (size, loss), (-6, 3), textcoords="offset points", ha="right",
                          fontsize=10, color="#444444")  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel="numbers in the code")
        axis.set_ylabel("mean squared error, test images")
        ticks = sorted({0, 1, 4, 16, 64, 256, *(size for size, _ in marked.values())})
        axis.set_xticks(_place(ticks), [f"{tick:,}" for tick in ticks])
        axis.xaxis.set_minor_locator(NullLocator())
        write_decimals(axis.yaxis)
        figure.legend(fontsize=10, loc="outside upper left", ncols=2)
        return svg(figure)


def code_bits(named: Mapping[int, Mapping[str, Mapping[int, float]]]) -> Picture:
    """Draw losses over the bits of a whole code, for several sizes and several autoencoders.

    Parameters
    ----------
    named : dict of int to dict
        For each size of the code, in numbers, the labels of the autoencoders, the same for each
        size, and the losses by how many bits a number has.

    Returns
    -------
    Picture
        SVG; logarithmic.  A colour for each size, a kind of line for each autoencoder.

    Examples
    --------
    >>> code_bits({8: {"PCA": {1: 0.1, 4: 0.05}}, 32: {"PCA": {1: 0.08, 4: 0.02}}}).kind
    'svg'
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 3.9), layout="constrained")
        axis = figure.subplots()
        for (size, curves), color in zip(named.items(), COLORS, strict=False):
            for (label, losses), dash in zip(curves.items(), ("o-", "s--", "^:"), strict=False):
                bits = size * np.array(list(losses))
                axis.plot(bits, list(losses.values()), dash, color=color, ms=4, linewidth=1.2,
                          label=f"{size} numbers, {label}")  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel="bits in the code")
        axis.set_ylabel("mean squared error")
        axis.xaxis.set_major_locator(LogLocator(base=4, numticks=20))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.xaxis.set_minor_locator(NullLocator())
        write_decimals(axis.yaxis)
        figure.legend(fontsize=10, loc="outside upper left", ncols=2)
        return svg(figure)


def splits(named: Mapping[str, Mapping[str, Mapping[int, float]]], best: str) -> Picture:
    """Draw the losses on training, validation and test images during a training.

    Parameters
    ----------
    named : dict of str to dict
        For each net its title, and for each split, the same for every net, its losses by step.
    best : str
        The split whose lowest loss is marked in each net.

    Returns
    -------
    Picture
        SVG, a panel for each net, side by side; logarithmic.

    Examples
    --------
    >>> losses = {"training": {0: 0.1, 9: 0.01}, "validation": {0: 0.1, 9: 0.05}}
    >>> splits({"a net": losses}, best="validation").kind
    'svg'
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 3.4), layout="constrained")
        axes = figure.subplots(1, len(named), sharey=True, squeeze=False)[0]
        for axis, (title, curves) in zip(axes, named.items(), strict=True):
            for (label, losses), dash in zip(curves.items(), ("-", "-", "--"), strict=False):
                steps = np.array(list(losses)) + 1
                axis.plot(steps, list(losses.values()), dash, label=label)
            chosen = min(curves[best], key=curves[best].get)
            axis.axvline(chosen + 1, color=GREY, linestyle=":", linewidth=1, zorder=0)
            axis.set(xscale="log", yscale="log", xlabel="step + 1", title=title)
            axis.xaxis.set_major_locator(FixedLocator((1, 30, 1000)))  # more would touch
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axis.xaxis.set_minor_locator(NullLocator())
        axes[0].set_ylabel("mean squared error")
        write_decimals(axes[0].yaxis)
        figure.legend(*axes[0].get_legend_handles_labels(), fontsize=10, ncols=3,
                      loc="outside upper left")  # fmt: skip
        return svg(figure)


def _place(sizes):
    """Return where sizes of a code stand on the axis."""
    return np.where(np.asarray(sizes) == 0, NOTHING, sizes)


def _least(runs, marked):
    """Return the lowest loss that isn't PCA's."""
    losses = [np.min(each) for sizes in runs.values() for each in sizes.values()]
    return min([*losses, *(loss for _, loss in marked.values())])
