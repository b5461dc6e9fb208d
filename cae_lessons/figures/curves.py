"""Losses and other measurements over an axis."""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import ArrayLike

from cae_lessons.figures.style import COLORS, NARROW, STYLE, Picture, svg, write_decimals

if TYPE_CHECKING:
    from cae_lessons.training import TrainingRun

DASHES = ("-", "--", "-.")  # once the colours are used up
DOTS = ("o", "^", "s", "D")
GREY = "#bbbbbb"  # what isn't the story
LINE = 13  # points from one label to the next


def loss_curves(
    runs: "Mapping[str, TrainingRun]",
    floors: Mapping[str, float] | None = None,
    ylabel: str = "mean squared error",
    highlight: Collection[str] | None = None,
) -> Picture:
    """Draw the losses of training runs over the steps, both axes logarithmic.

    Parameters
    ----------
    runs : dict of str to TrainingRun
        The article's logs are drawn as black dots, others as lines of means over windows that
        grow with the step: first in different colours, then in different dashes too.
    floors : dict of str to float, optional
        Losses to mark with a horizontal line, labelled at the right of the axis.
    ylabel : str
        What the losses are.
    highlight : collection of str, optional
        The runs to tell apart; the other lines are grey and share one label.

    Returns
    -------
    Picture
        SVG.  As 0 has no place on a logarithmic axis, the steps are counted from 1.

    Examples
    --------
    >>> from cae_lessons.training import article_run
    >>> loss_curves({"article": article_run("strided")}, {"all black": 0.114}).kind
    'svg'
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 3.9), layout="constrained")
        axis = figure.subplots()
        dots, lines = _dots(), _lines()
        for label, run in runs.items():
            step, loss = np.array(run.step) + 1, np.array(run.loss)
            if "final" in run.settings:  # one of `article_run`
                axis.plot(step, loss, label=label, **next(dots))
            elif highlight is None or label in highlight:
                axis.plot(*_growing_means(step, loss), label=label, **next(lines))
            else:
                (line,) = axis.plot(*_growing_means(step, loss), color=GREY, zorder=1)
                if "the other runs" not in axis.get_legend_handles_labels()[1]:
                    line.set_label("the other runs")
        for floor in (floors or {}).values():
            axis.axhline(floor, color="#666666", linestyle=":", linewidth=1)
        axis.set(xscale="log", yscale="log", xlabel="step + 1", ylabel=ylabel)
        write_decimals(axis.xaxis, subs=(1,))
        low, high = axis.get_ylim()
        write_decimals(axis.yaxis, _enough_subs(high / low))
        columns = 2 if len(axis.get_legend_handles_labels()[1]) <= 6 else 3
        figure.legend(fontsize=10, loc="outside upper left", ncols=columns)
        _label_floors(figure, axis, floors or {})
        return svg(figure)


def lines(
    x: ArrayLike,
    named: Mapping[str, ArrayLike],
    xlabel: str,
    ylabel: str,
    dashed: Collection[str] = (),
) -> Picture:
    """Draw curves over one axis.

    Parameters
    ----------
    x : array_like
        Shape (n,).
    named : dict of str to array_like
        Labels and values, shape (n,) each; NaN leaves a gap.
    xlabel, ylabel : str
    dashed : collection of str
        The labels of lines to dash, so that those show which they cover.

    Returns
    -------
    Picture
        SVG.

    Examples
    --------
    >>> lines([0, 1], {"a line": [1, 2]}, "x", "y").kind
    'svg'
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 3.2), layout="constrained")
        axis = figure.subplots()
        axis.axhline(0, color="#bbbbbb", linewidth=0.8)
        for label, y in named.items():
            axis.plot(x, y, label=label, linestyle=(0, (4, 4)) if label in dashed else "-")
        axis.set(xlabel=xlabel, ylabel=ylabel)
        figure.legend(fontsize=10, loc="outside upper left", ncols=2)
        return svg(figure)


def watched(named: Mapping[str, Sequence[Mapping[str, Any]]]) -> Picture:
    """Draw what `diagnosis.watch` noted of one layer in several nets, step by step.

    Parameters
    ----------
    named : dict of str to list of dict
        Titles and records, as `diagnosis.watch` makes them.

    Returns
    -------
    Picture
        SVG, two nets side by side.  Above, the pre-activations: the range of all, the middle nine
        tenths, the median; the axis is linear between −10 and 10 and logarithmic outside.  Below,
        the norm of the gradient, logarithmic; an exact 0 is a cross on a line of its own.

    Examples
    --------
    >>> record = {"step": 0, "pre_activation": [-2, -1, 0, 1, 2], "gradient": 1.0, "loss": 0.1}
    >>> watched({"a net": [record]}).kind
    'svg'
    """
    norms = [record["gradient"] for records in named.values() for record in records]
    low = min((norm for norm in norms if norm > 0), default=1.0)
    pairs = math.ceil(len(named) / 2)
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 3.3 * pairs), layout="constrained")
        axes = figure.subplots(2 * pairs, 2, sharex=True)
        for axis in axes.flat:
            axis.set_visible(False)
        for number, (title, records) in enumerate(named.items()):
            above, below = axes[2 * (number // 2) : 2 * (number // 2) + 2, number % 2]
            steps = np.array([record["step"] for record in records])
            above.sharey(axes[0, 0])
            below.sharey(axes[1, 0])
            _draw_bands(above, steps, [record["pre_activation"] for record in records])
            _draw_gradients(below, steps, np.array([record["gradient"] for record in records]), low)
            above.set(title=title, visible=True)
            below.set(xlabel="step" if number >= len(named) - 2 else None, visible=True)
            for axis, label in ((above, "pre-activation"), (below, "gradient")):
                axis.set_ylabel(None if number % 2 else label)
                axis.tick_params(labelleft=not number % 2)
        _mark_powers_and_zero(axes[1, 0], low, max(norms))
        return svg(figure)


def scoreboard(rows: Mapping[str, tuple[float, ArrayLike, ArrayLike]], black: float) -> Picture:
    """Draw the losses of many runs, a row for each net, with the floor that it can't beat.

    Parameters
    ----------
    rows : dict of str to tuple
        Labels, and for each the floor (a float, 0 for none), the losses of its runs (shape (n,)),
        and whether they trained (bool, shape (n,)).
    black : float
        The loss of black pictures, marked over all rows.

    Returns
    -------
    Picture
        SVG; a dot for each run, filled if it trained, on a logarithmic axis, and a bar at the
        floor.  Dots that would cover each other stand above each other.

    Examples
    --------
    >>> scoreboard({"a net": (0.01, [0.02, 0.11], [True, False])}, black=0.11).kind
    'svg'
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 0.8 + 0.5 * len(rows)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(black, color="#666666", linestyle=":", linewidth=1, zorder=0)
        for row, (floor, losses, trained) in enumerate(rows.values()):
            losses, trained = np.asarray(losses, float), np.asarray(trained, bool)
            y = row + _aside(np.log10(losses))
            axis.plot(losses[trained], y[trained], "o", color=COLORS[0], ms=4)
            axis.plot(losses[~trained], y[~trained], "o", color=COLORS[1], ms=4,
                      fillstyle="none")  # fmt: skip
            if floor:
                axis.plot([floor, floor], [row - 0.45, row + 0.45], color="black", linewidth=2,
                          zorder=0)  # fmt: skip
        axis.set(xscale="log", xlabel="mean squared error on the test images")
        axis.set(yticks=range(len(rows)), yticklabels=rows.keys())
        axis.set_ylim(len(rows) - 0.45, -0.55)
        write_decimals(axis.xaxis, subs=(1,))
        return svg(figure)


def ranges(
    rows: Mapping[str, Mapping[str, tuple[float, float, float]]], xlabel: str, mark: float
) -> Picture:
    """Draw measurements with their spread: a row for each thing measured, a dot for each way.

    Parameters
    ----------
    rows : dict of str to dict
        Labels of rows, and for each the labels of its dots, the same in every row, with three
        positive numbers: the least, the median and the largest.
    xlabel : str
    mark : float
        Where a line crosses all rows.

    Returns
    -------
    Picture
        SVG; logarithmic.  A dot is the median, the line through it the range.

    Examples
    --------
    >>> ranges({"a step": {"ours": (1, 1, 1), "theirs": (1.5, 2, 3)}}, "times ours", 1).kind
    'svg'
    """
    labels = list(next(iter(rows.values())))
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 1.2 + 0.5 * len(rows)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(mark, color="#666666", linestyle=":", linewidth=1)
        for index, label in enumerate(labels):
            least, median, largest = np.transpose([row[label] for row in rows.values()])
            y = np.arange(len(rows)) + 0.5 * ((index + 0.5) / len(labels) - 0.5)
            color, dot = COLORS[index % len(COLORS)], DOTS[index % len(DOTS)]
            axis.hlines(y, least, largest, color=color, linewidth=1.5)
            axis.plot(median, y, dot, color=color, ms=5, label=label)
        axis.set(xscale="log", xlabel=xlabel, yticks=range(len(rows)), yticklabels=rows.keys())
        low, high = axis.get_xlim()
        ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 1.5, 2, 3, 5, 10, 100) if low <= tick <= high]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.invert_yaxis()
        figure.legend(fontsize=10, loc="outside upper center", ncols=2)
        return svg(figure)


def growth(named: Mapping[str, tuple[ArrayLike, ArrayLike]], ylabel: str) -> Picture:
    """Draw how a cost grows with sizes, each beside growth in proportion.

    Parameters
    ----------
    named : dict of str to tuple
        What grows, and for each its sizes and costs, positive and of shape (n,) each.
    ylabel : str

    Returns
    -------
    Picture
        SVG; logarithmic both ways.  The dashed lines run through the last point, in proportion
        to the size.

    Examples
    --------
    >>> growth({"batch size": ([1, 10], [2, 11])}, "ms a step").kind
    'svg'
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 0.2 + 2.1 * len(named)), layout="constrained")
        axes = figure.subplots(len(named), 1, sharey=True, squeeze=False)[:, 0]
        for axis, (label, (sizes, costs)) in zip(axes, named.items(), strict=True):
            x, y = np.asarray(sizes, float), np.asarray(costs)
            axis.plot(x, y[-1] * x / x[-1], "--", color="#888888", linewidth=1)
            axis.plot(x, y, "o-", ms=4)
            axis.set(xscale="log", yscale="log", xlabel=label, ylabel=ylabel)
            axis.set_xticks(x, [f"{size:,.0f}" for size in x], fontsize=10)
            axis.xaxis.set_minor_locator(NullLocator())
            write_decimals(axis.yaxis, subs=(1,))
        return svg(figure)


def _aside(positions, width=0.06, most=0.8):
    """Return how far each dot stands above or below its row, so that none covers another."""
    levels = np.zeros(len(positions), int)
    order = np.argsort(positions, kind="stable")
    for place, dot in enumerate(order):
        near = order[:place][positions[dot] - positions[order[:place]] < width]
        free = set(range(len(positions))) - set(levels[near].tolist())
        levels[dot] = min(free)
    away = np.where(levels % 2, 1, -1) * ((levels + 1) // 2)  # 0, 1, −1, 2, −2, …
    return away * min(0.11, most / (1 + levels.max(initial=0)))


def _draw_bands(axis, steps, percentiles):
    least, low, median, high, most = np.transpose(percentiles)
    axis.fill_between(steps, least, most, color=COLORS[5], alpha=0.25, linewidth=0)
    axis.fill_between(steps, low, high, color=COLORS[5], alpha=0.5, linewidth=0)
    axis.plot(steps, median, color=COLORS[0])
    axis.axhline(0, color="#bbbbbb", linewidth=0.8)
    axis.set_yscale("symlog", linthresh=10)  # a dead relu falls and falls
    axis.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}".replace("-", "−"))
    )
    axis.yaxis.set_minor_locator(NullLocator())


def _draw_gradients(axis, steps, norms, low):
    axis.set_yscale("log")
    axis.set_ylim(bottom=_zero(low) / 3)
    axis.axhline(_zero(low), color="#bbbbbb", linewidth=0.8)
    axis.plot(steps, np.where(norms == 0, np.nan, norms), ".-", color=COLORS[1], markersize=4)
    for step in steps[norms == 0]:
        axis.text(step, _zero(low), "×", ha="center", va="center", fontsize=10, color=COLORS[1])


def _mark_powers_and_zero(axis, low, high):
    """Give a logarithmic axis a tick for 0, below the others."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(max(low, high)))
    powers = range(last, first - 1, -2)
    ticks = [_zero(low), *(10.0**power for power in powers)]
    axis.set_yticks(ticks, ["0", *(f"$10^{{{power}}}$" for power in powers)])
    axis.yaxis.set_minor_locator(NullLocator())


def _zero(low):
    """Return where 0 stands on a logarithmic axis whose lowest number is given."""
    return 10.0 ** (math.floor(math.log10(low)) - 1)


def _dots():
    """Yield how to draw one log after the other: black, in different shapes."""
    for marker in itertools.cycle(DOTS):
        yield {"color": "black", "marker": marker, "markersize": 4, "linestyle": "none"}


def _lines():
    """Yield how to draw one run after the other; black is left to the logs."""
    for linestyle, color in itertools.cycle(itertools.product(DASHES, COLORS[:-1])):
        yield {"color": color, "linestyle": linestyle}


def _enough_subs(span):
    """Return the digits at which a logarithmic axis of some span gets ticks: several, not many."""
    if span < 5:
        return (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)
    return (1, 2, 5) if span < 1000 else (1,)


def _label_floors(figure, axis, floors):
    """Write the floors' names at the right of the axis, spread so that none covers another."""
    names = sorted(floors, key=floors.get)
    labels = [
        axis.annotate(name, (1, floors[name]), xycoords=("axes fraction", "data"),
                      xytext=(10, 0), textcoords="offset points", va="center", fontsize=10,
                      color="#444444", annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.7,
                                  "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)})
        for name in names
    ]  # fmt: skip
    figure.draw_without_rendering()  # now the axis has its size
    points = 72 / figure.dpi
    heights = [axis.transData.transform((1, floors[name]))[1] * points for name in names]
    for label, there, spread in zip(labels, heights, _spread(heights), strict=True):
        label.xyann = (10, spread - there)


def _spread(heights, gap=LINE):
    """Move sorted heights apart, as little as possible in the sum of squares."""
    groups = []  # of [the sum of the heights, less the gaps inside; how many]
    for height in heights:
        groups.append([height, 1])
        while len(groups) > 1 and _top(groups[-2], gap) > _bottom(groups[-1], gap):
            total, count = groups.pop()
            groups[-1] = [groups[-1][0] + total, groups[-1][1] + count]
    return [_bottom(group, gap) + gap * (i + 0.5) for group in groups for i in range(group[1])]


def _bottom(group, gap):
    return group[0] / group[1] - gap * group[1] / 2


def _top(group, gap):
    return group[0] / group[1] + gap * group[1] / 2


def _growing_means(step, loss, points=100):
    """Average over windows that grow with the step, so that a logarithmic axis is filled evenly."""
    edges = np.unique(np.geomspace(1, len(step), points).astype(int))[:-1]
    parts = zip(np.split(step, edges), np.split(loss, edges), strict=True)
    return np.array([(steps.mean(), losses.mean()) for steps, losses in parts]).T
