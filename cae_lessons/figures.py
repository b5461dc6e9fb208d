"""Every figure of the book, one function each, in one style.

Each function returns an object that a notebook shows as it is: lines as SVG, pixels as PNG,
animations as HTML.  `save` writes it to a file.  Nothing here touches Matplotlib's global state.
"""

import base64
import hashlib
import io
import itertools
import json
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

# Okabe and Ito's colours can be told apart by the colour-blind.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
STYLE = {
    "axes.edgecolor": "#444444",
    "axes.grid": False,
    "axes.prop_cycle": matplotlib.cycler(color=COLORS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.facecolor": "white",
    "font.size": 11,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "svg.hashsalt": "cae_lessons",  # the same figure gives the same bytes
}
DASHES = ("-", "--", "-.")  # once the colours are used up
DOTS = ("o", "^", "s", "D")
WIDTH = 6.4  # inches: the text column, so that the font keeps its size on the page

# Of `architecture`, all in inches.
PIXEL, CHANNEL = 0.6 / 28, 0.8 / 32  # of a block, for each row of a map and for each map
ENCODER, CODE, DECODER = 1.82, 2.76, 3.7  # the middles of the columns
LINE, GAP = 0.21, 0.2  # of a label, and between two blocks


class Picture:
    """A finished figure that a notebook shows and `save` writes.

    Attributes
    ----------
    data : bytes
        The file's content.
    kind : {"svg", "png"}
        The file's format.
    """

    def __init__(self, data, kind):
        self.data = data
        self.kind = kind

    def __repr__(self):
        return f"<{self.kind} picture>"

    def _repr_mimebundle_(self, **_):
        if self.kind == "svg":
            return {"image/svg+xml": self.data.decode()}
        return {"image/png": base64.b64encode(self.data).decode()}

    def save(self, path):
        """Write the picture to a file; a name that doesn't end in its `kind` is a ValueError."""
        if Path(path).suffix != f".{self.kind}":
            raise ValueError(f"{path}: the picture is {self.kind}, expected a name in .{self.kind}")
        Path(path).write_bytes(self.data)


class Animation:
    """Pictures shown one after the other, with a button and a slider, without a server.

    Before it is played, and on paper, the last picture stands still.

    Attributes
    ----------
    frames : list of bytes
        PNG files of one size.
    captions : list of str
        What each frame shows.
    alt : str
        What one sees, for those who don't.
    """

    def __init__(self, frames, captions, alt):
        self.frames = frames
        self.captions = captions
        self.alt = alt

    def __repr__(self):
        return f"<animation of {len(self.frames)} frames>"

    def _repr_html_(self):
        sources = [f"data:image/png;base64,{base64.b64encode(f).decode()}" for f in self.frames]
        name = "animation-" + hashlib.sha256(b"".join(self.frames)).hexdigest()[:8]
        return _ANIMATION_HTML.format(
            name=name,
            alt=self.alt,
            last=len(sources) - 1,
            still=sources[-1],
            caption=self.captions[-1],
            sources=json.dumps(sources),
            captions=json.dumps(self.captions),
        )


# The script looks its element up by name: a page may hold several animations.
_ANIMATION_HTML = """<div id="{name}" class="animation">
<img src="{still}" alt="{alt}" style="background:white;max-width:100%">
<p style="margin:0"><button type="button" style="min-width:5em">Play</button>
<input type="range" min="0" max="{last}" value="{last}" aria-label="Frame">
<output aria-live="off">{caption}</output></p>
<script>
(function () {{
  const root = document.getElementById("{name}");
  const [image, button, slider, caption] =
    ["img", "button", "input", "output"].map(tag => root.querySelector(tag));
  const sources = {sources}, captions = {captions};
  let timer = null;
  const show = k => {{
    slider.value = k; image.src = sources[k]; caption.textContent = captions[k];
  }};
  const stop = () => {{ clearInterval(timer); timer = null; button.textContent = "Play"; }};
  const step = () => {{
    const k = Number(slider.value) + 1;
    if (k > {last}) stop(); else show(k);
  }};
  slider.addEventListener("input", () => {{ stop(); show(Number(slider.value)); }});
  button.addEventListener("click", () => {{
    if (timer) return stop();
    if (Number(slider.value) === {last}) show(0);
    button.textContent = "Pause";
    timer = setInterval(step, 900);
  }});
}})();
</script>
</div>"""


def digits(rows):
    """Draw images in labelled rows.

    Parameters
    ----------
    rows : dict of str to array_like
        A label and its images, shape (n, height, width, 1) each, n the same for all.  Values
        outside [0, 1] are drawn as the nearer end.

    Returns
    -------
    Picture
        PNG.

    Raises
    ------
    ValueError
        `rows` is no dict, or its rows hold different numbers of images.

    Examples
    --------
    >>> digits({"black": np.zeros((3, 28, 28, 1))}).kind
    'png'
    """
    if not isinstance(rows, dict):
        raise ValueError(f"rows are a {type(rows).__name__}, expected a dict of label to images")
    columns = max(len(images) for images in rows.values())
    if any(len(images) != columns for images in rows.values()):
        counts = ", ".join(f"{label}: {len(images)}" for label, images in rows.items())
        raise ValueError(f"rows hold different numbers of images ({counts})")
    figure, axes = _grid(len(rows), columns, cell=WIDTH / (columns + 1.5))
    for row, (label, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(row, images, strict=True):
            axis.imshow(_plane(image), cmap="gray", vmin=0, vmax=1)
        row[0].set_ylabel(label, rotation=0, ha="right", va="center")
    return _png(figure)


def pictures(named):
    """Draw pictures side by side, each under its title.

    Parameters
    ----------
    named : dict of str to array_like
        Titles and pictures of shape (height, width).  Values outside [0, 1] are drawn as the
        nearer end.

    Returns
    -------
    Picture
        PNG.

    Examples
    --------
    >>> pictures({"black": np.zeros((6, 6)), "white": np.ones((6, 6))}).kind
    'png'
    """
    figure, axes = _grid(1, len(named), cell=WIDTH / max(len(named), 3), label=0.25)
    for axis, (title, picture) in zip(axes.flat, named.items(), strict=True):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
        axis.set_title(title)
    return _png(figure)


def feature_maps(maps, dead=None, columns=8):
    """Draw the maps of one layer for one image, the dead ones crossed out.

    Parameters
    ----------
    maps : array_like
        Shape (height, width, channels).
    dead : array_like of bool, optional
        Shape (channels,).
    columns : int
        Maps in a row.

    Returns
    -------
    Picture
        PNG; all maps share one grey scale, from 0 to the highest value.

    Examples
    --------
    >>> feature_maps(np.ones((7, 7, 16))).kind
    'png'
    """
    maps = np.moveaxis(np.asarray(maps), -1, 0)
    dead = np.zeros(len(maps), bool) if dead is None else np.asarray(dead)
    figure, axes = _grid(-(-len(maps) // columns), columns, cell=WIDTH / columns, label=0.25)
    for axis in axes.flat[len(maps) :]:
        axis.set_axis_off()
    for channel, (axis, plane) in enumerate(zip(axes.flat, maps, strict=False)):
        axis.imshow(plane, cmap="gray", vmin=0, vmax=max(maps.max(), 1e-9))
        axis.set_title(channel, pad=2, fontsize=9)
        if dead[channel]:
            axis.plot([0, 1], [0, 1], [0, 1], [1, 0], transform=axis.transAxes, color=COLORS[1])
    return _png(figure)


def loss_curves(runs, floors=None, ylabel="mean squared error"):
    """Draw the losses of training runs over the steps, both axes logarithmic.

    Parameters
    ----------
    runs : dict of str to TrainingRun
        The article's logs are drawn as black dots, others as lines of means over windows that
        grow with the step: first in different colours, then in different dashes too.
    floors : dict of str to float, optional
        Losses to mark with a horizontal line.
    ylabel : str
        What the losses are.

    Returns
    -------
    Picture
        SVG.

    Examples
    --------
    >>> from cae_lessons.training import article_run
    >>> loss_curves({"article": article_run("strided")}, {"all black": 0.114}).kind
    'svg'
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, 3.8), layout="constrained")
        axis = figure.subplots()
        dots, lines = _dots(), _lines()
        for label, run in runs.items():
            step, loss = np.array(run.step) + 1, np.array(run.loss)
            if "final" in run.settings:  # one of `article_run`
                axis.plot(step, loss, label=label, **next(dots))
            else:
                axis.plot(*_growing_means(step, loss), label=label, **next(lines))
        for label, floor in (floors or {}).items():
            axis.axhline(floor, color="#666666", linestyle=":", linewidth=1)
            axis.annotate(label, (1, floor), xycoords=("axes fraction", "data"), ha="right",
                          va="bottom", fontsize=9, color="#444444")  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel="step", ylabel=ylabel)
        if len(runs) <= 6:
            axis.legend(fontsize=9)
        else:  # more would hide the curves
            figure.legend(fontsize=9, loc="outside right upper")
        return _svg(figure)


def arrays(named, highlight=None):
    """Draw small arrays with their numbers in the cells, side by side.

    Parameters
    ----------
    named : dict of str to array_like
        Titles and arrays of shape (height, width).
    highlight : dict of str to array_like of bool, optional
        For some of the titles, the cells to tint.

    Returns
    -------
    Picture
        SVG.

    Examples
    --------
    >>> arrays({"x": [[1, 2], [3, 4]]}).kind
    'svg'
    """
    named = {title: np.asarray(array) for title, array in named.items()}
    with matplotlib.rc_context(STYLE):
        return _svg(_arrays_figure(named, highlight or {}))


def phases(losses):
    """Draw the share of the loss that each output phase contributes.

    Parameters
    ----------
    losses : array_like
        Shape (period, period), as `diagnosis.phase_losses` gives them.

    Returns
    -------
    Picture
        SVG; a table of numbers, the darker the larger.

    Examples
    --------
    >>> phases(np.full((4, 4), 0.007)).kind
    'svg'
    """
    losses = np.asarray(losses)
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH * 0.6, WIDTH * 0.5), layout="constrained")
        axis = figure.subplots()
        axis.spines[:].set_visible(False)
        axis.imshow(losses, cmap="Oranges", vmin=0, vmax=max(losses.max(), 1e-9))
        for (i, j), loss in np.ndenumerate(losses):
            color = "white" if loss > 0.7 * losses.max() else "black"
            axis.text(j, i, f"{loss:.4f}", ha="center", va="center", fontsize=10, color=color)
        ticks = range(len(losses))
        axis.set(xticks=ticks, yticks=ticks)
        axis.set(xlabel=f"x mod {len(losses)}", ylabel=f"y mod {len(losses)}")
        return _svg(figure)


def matrix(array, rows, columns):
    """Draw a matrix as coloured cells, zeros white.

    Parameters
    ----------
    array : array_like
        Shape (height, width).
    rows, columns : str
        What the rows and the columns stand for.

    Returns
    -------
    Picture
        SVG.

    Examples
    --------
    >>> matrix(np.eye(3), "output", "input").kind
    'svg'
    """
    array = np.asarray(array, float)
    with matplotlib.rc_context(STYLE):
        height = min(WIDTH * array.shape[0] / array.shape[1], WIDTH) + 0.7
        figure = Figure((WIDTH * 0.9, height), layout="constrained")
        axis = figure.subplots()
        limit = 2 * np.abs(array).max()  # pale colours: the numbers stay readable
        axis.imshow(np.where(array, array, np.nan), cmap="RdBu", vmin=-limit, vmax=limit)
        for (i, j), value in np.ndenumerate(array):
            if value:
                axis.text(j, i, f"{value:g}", ha="center", va="center", fontsize=9)
        axis.set(xlabel=columns, ylabel=rows, xticks=[], yticks=[])
        return _svg(figure)


def lines(x, named, xlabel, ylabel):
    """Draw curves over one axis.

    Parameters
    ----------
    x : array_like
        Shape (n,).
    named : dict of str to array_like
        Labels and values, shape (n,) each.
    xlabel, ylabel : str

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
        figure = Figure((WIDTH, 3.4), layout="constrained")
        axis = figure.subplots()
        axis.axhline(0, color="#bbbbbb", linewidth=0.8)
        for label, y in named.items():
            axis.plot(x, y, label=label)
        axis.set(xlabel=xlabel, ylabel=ylabel)
        axis.legend(fontsize=9)
        return _svg(figure)


def watched(named):
    """Draw what `diagnosis.watch` noted of one layer in several nets, step by step.

    Parameters
    ----------
    named : dict of str to list of dict
        Titles and records, as `diagnosis.watch` makes them.

    Returns
    -------
    Picture
        SVG.  Above, the pre-activations: the range of all, the middle nine tenths, the median.
        Below, the norm of the gradient, logarithmic; an exact 0 is a cross on the axis.

    Examples
    --------
    >>> record = {"step": 0, "pre_activation": [-2, -1, 0, 1, 2], "gradient": 1.0, "loss": 0.1}
    >>> watched({"a net": [record]}).kind
    'svg'
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, 4.2), layout="constrained")
        rows = figure.subplots(2, len(named), sharex=True, sharey="row", squeeze=False)
        for (above, below), (title, records) in zip(rows.T, named.items(), strict=True):
            steps = [record["step"] for record in records]
            _draw_bands(above, steps, [record["pre_activation"] for record in records])
            _draw_gradients(below, steps, np.array([record["gradient"] for record in records]))
            above.set_title(title, fontsize=9)
            below.set_xlabel("step")
        rows[0, 0].set_ylabel("pre-activation")
        rows[1, 0].set_ylabel("gradient")
        return _svg(figure)


def survival(named):
    """Draw how many runs train, over learning rates and the widths of the first weights.

    Parameters
    ----------
    named : dict of str to pandas.DataFrame
        Titles and tables: the index the standard deviations, the columns the learning rates, the
        values the share of runs that trained, from 0 to 1.

    Returns
    -------
    Picture
        SVG; a table of percentages for each title, the bluer the more.

    Examples
    --------
    >>> import pandas as pd
    >>> survival({"a net": pd.DataFrame({0.01: [0.5], 0.001: [1.0]}, index=[0.1])}).kind
    'svg'
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, 2.7), layout="constrained")
        for axis, (title, table) in zip(
            figure.subplots(1, len(named), sharey=True, squeeze=False)[0],
            named.items(),
            strict=True,
        ):
            axis.imshow(table.values, cmap="Blues", vmin=0, vmax=1)
            for (i, j), share in np.ndenumerate(table.values):
                color = "white" if share > 0.6 else "black"
                axis.text(j, i, f"{share:.0%}", ha="center", va="center", color=color)
            axis.set(xticks=range(table.shape[1]), yticks=range(table.shape[0]))
            axis.set(xticklabels=table.columns, yticklabels=table.index)
            axis.set(title=title, xlabel="learning rate")
            axis.spines[:].set_visible(False)
        figure.axes[0].set_ylabel("standard deviation")
        return _svg(figure)


def scoreboard(rows, black):
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
        SVG; a dot a run, filled if it trained, on a logarithmic axis, and a bar at the floor.

    Examples
    --------
    >>> scoreboard({"a net": (0.01, [0.02, 0.11], [True, False])}, black=0.11).kind
    'svg'
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, 0.7 + 0.34 * len(rows)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(black, color="#666666", linestyle=":", linewidth=1)
        for row, (floor, losses, trained) in enumerate(rows.values()):
            trained, losses = np.asarray(trained, bool), np.asarray(losses)
            axis.plot(losses[trained], np.full(trained.sum(), row), "o", color=COLORS[0], ms=5)
            axis.plot(losses[~trained], np.full((~trained).sum(), row), "o", color=COLORS[1],
                      ms=5, fillstyle="none")  # fmt: skip
            if floor:
                axis.plot([floor, floor], [row - 0.35, row + 0.35], color="black", linewidth=2)
        axis.set(xscale="log", xlabel="mean squared error on the test images")
        axis.set(yticks=range(len(rows)), yticklabels=rows.keys())
        axis.invert_yaxis()
        axis.grid(axis="y", color="#eeeeee")
        axis.set_axisbelow(True)
        return _svg(figure)


def ranges(rows, xlabel, mark):
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
        figure = Figure((WIDTH, 1 + 0.42 * len(rows)), layout="constrained")
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
        figure.legend(fontsize=9, loc="outside upper center", ncols=3)
        return _svg(figure)


def growth(named, ylabel):
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
        figure = Figure((WIDTH, 2.9), layout="constrained")
        axes = figure.subplots(1, len(named), sharey=True, squeeze=False)[0]
        for axis, (label, (sizes, costs)) in zip(axes, named.items(), strict=True):
            sizes, costs = np.asarray(sizes, float), np.asarray(costs)
            axis.plot(sizes, costs[-1] * sizes / sizes[-1], "--", color="#888888", linewidth=1)
            axis.plot(sizes, costs, "o-", ms=4)
            axis.set(xscale="log", yscale="log", xlabel=label)
            axis.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], fontsize=8, rotation=45)
            axis.xaxis.set_minor_locator(NullLocator())
        axes[0].set_ylabel(ylabel)
        return _svg(figure)


def stamping(image, kernel, stride):
    """Animate a transposed convolution: each input value stamps its multiple of the kernel.

    Parameters
    ----------
    image : array_like
        Shape (height, width).
    kernel : array_like
        Shape (kernel height, kernel width).
    stride : int
        How far the stamp moves in the output from one input value to the next.

    Returns
    -------
    Animation
        A frame before the first stamp, then one a stamp.

    Examples
    --------
    >>> len(stamping([[1, 2], [3, 4]], np.ones((3, 3)), stride=2).frames)
    5
    """
    image, kernel = np.asarray(image), np.asarray(kernel)
    height = stride * (image.shape[0] - 1) + kernel.shape[0]
    width = stride * (image.shape[1] - 1) + kernel.shape[1]
    output = np.zeros((height, width), np.result_type(image, kernel))
    frames = [_stamping_frame(image, kernel, output, None, stride)]
    captions = ["Nothing is stamped yet."]
    for (i, j), value in np.ndenumerate(image):
        rows = slice(stride * i, stride * i + kernel.shape[0])
        columns = slice(stride * j, stride * j + kernel.shape[1])
        output[rows, columns] += value * kernel
        frames.append(_stamping_frame(image, kernel, output, (i, j), stride))
        captions.append(f"Input ({i}, {j}): add {value:g} × kernel.")
    alt = "The input's values, one after the other, add their multiple of the kernel to the output."
    return Animation(frames, captions, alt)


def _draw_bands(axis, steps, percentiles):
    least, low, median, high, most = np.transpose(percentiles)
    axis.fill_between(steps, least, most, color=COLORS[5], alpha=0.25, linewidth=0)
    axis.fill_between(steps, low, high, color=COLORS[5], alpha=0.5, linewidth=0)
    axis.plot(steps, median, color=COLORS[0])
    axis.axhline(0, color="#bbbbbb", linewidth=0.8)
    axis.set_yscale("symlog", linthresh=10)  # a dead relu falls and falls
    axis.yaxis.set_minor_locator(NullLocator())


def _draw_gradients(axis, steps, norms):
    axis.set_yscale("log")
    gone = norms == 0
    axis.plot(steps, np.where(gone, np.nan, norms), ".-", color=COLORS[1], markersize=3)
    for step in np.asarray(steps)[gone]:
        axis.annotate("×", (step, 0), xycoords=("data", "axes fraction"), ha="center",
                      va="center", fontsize=7, color=COLORS[1], in_layout=False)  # fmt: skip


def _stamping_frame(image, kernel, output, position, stride):
    read = np.zeros(image.shape, bool)
    written = np.zeros(output.shape, bool)
    if position is not None:
        i, j = position
        read[i, j] = True
        top, left = stride * i, stride * j
        written[top : top + kernel.shape[0], left : left + kernel.shape[1]] = True
    named = {"input": image, "kernel": kernel, "output": output}
    with matplotlib.rc_context(STYLE):
        return _png(_arrays_figure(named, {"input": read, "output": written})).data


def unpooling(values, mask):
    """Animate an unpooling: each value fills its block, and the mask says where it stays.

    Parameters
    ----------
    values : array_like
        Shape (h, w).
    mask : array_like of bool
        Shape (height, width), multiples of h and w: the blocks.

    Returns
    -------
    Animation
        A frame before the first value, then one a value.

    Raises
    ------
    ValueError
        The mask doesn't divide into a block for each value.

    Examples
    --------
    >>> len(unpooling([[5, 7], [0, 4]], np.ones((4, 4), bool)).frames)
    5
    """
    values, mask = np.asarray(values), np.asarray(mask, bool)
    if any(size % count for size, count in zip(mask.shape, values.shape, strict=True)):
        raise ValueError(f"a mask of shape {mask.shape} has no blocks for values {values.shape}")
    rows, columns = (size // count for size, count in zip(mask.shape, values.shape, strict=True))
    spread = np.zeros(mask.shape, values.dtype)
    frames = [_unpooling_frame(values, spread, mask, None)]
    captions = ["No value is unpooled yet."]
    for (i, j), value in np.ndenumerate(values):
        block = (slice(rows * i, rows * (i + 1)), slice(columns * j, columns * (j + 1)))
        spread[block] = value
        frames.append(_unpooling_frame(values, spread, mask, ((i, j), block)))
        captions.append(f"Value ({i}, {j}): {value:g} fills its block, times the mask.")
    alt = "The values, one after the other, fill their blocks; the mask keeps some of the copies."
    return Animation(frames, captions, alt)


def _unpooling_frame(values, spread, mask, place):
    """Draw the arrays of an unpooling, one value and its block tinted."""
    unpooled = np.where(mask, spread, 0)
    named = {"values": values, "spread": spread, "mask": mask.astype(int), "product": unpooled}
    tinted = {title: np.zeros(array.shape, bool) for title, array in named.items()}
    if place is not None:
        cell, block = place
        tinted["values"][cell] = True
        for title in ("spread", "mask", "product"):
            tinted[title][block] = True
    with matplotlib.rc_context(STYLE):
        return _png(_arrays_figure(named, tinted)).data


def receptive_fields(image, fields):
    """Tint the pixels of an image that some units see.

    Parameters
    ----------
    image : array_like
        Shape (height, width, 1).  Values outside [0, 1] are drawn as the nearer end.
    fields : dict of str to array_like of bool
        Titles and the pixels that a unit sees, shape (height, width), as
        `diagnosis.receptive_field` gives them.

    Returns
    -------
    Picture
        PNG; the image once for each unit.

    Examples
    --------
    >>> receptive_fields(np.zeros((28, 28, 1)), {"code": np.eye(28, dtype=bool)}).kind
    'png'
    """
    figure, axes = _grid(1, len(fields), cell=WIDTH / max(len(fields), 3), label=0.25)
    red, green, blue = matplotlib.colors.to_rgb(COLORS[4])
    for axis, (title, field) in zip(axes.flat, fields.items(), strict=True):
        axis.imshow(_plane(image), cmap="gray", vmin=0, vmax=1)
        tint = np.zeros((*np.shape(field), 4))
        tint[np.asarray(field, bool)] = red, green, blue, 0.55
        axis.imshow(tint)
        axis.set_title(title)
    return _png(figure)


def architecture(model):
    """Draw a net as it is built: the encoder down the left, the code, the decoder up the right.

    A block is as high as the layer's maps and as wide as they are many.  Blocks of layers with
    weights are tinted.  Under a layer's name stand its output's shape and the number of weights.

    Parameters
    ----------
    model : keras.Model
        An autoencoder with a layer named `code`.

    Returns
    -------
    Picture
        SVG.  Solid arrows carry numbers, dashed ones the places of maxima.

    Raises
    ------
    ValueError
        The model has no layer of that name.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> architecture(strided_autoencoder()).kind
    'svg'
    """
    places = _places_of_layers(model)
    height = max(y + _rise(layer) / 2 for layer, (_, y) in places.items())
    with matplotlib.rc_context(STYLE | {"font.size": 12}):
        figure = Figure((WIDTH, height + 0.05))
        axis = figure.add_axes((0, 0, 1, 1))
        axis.set(xlim=(0, WIDTH), ylim=(height + 0.05, 0))  # both in inches
        axis.set_axis_off()
        for layer, (x, y) in places.items():
            _draw_layer(axis, layer, x, y)
        for source, target, carries_places in _connections(model):
            _draw_arrow(axis, source, target, places, carries_places)
        return _svg(figure)


def _places_of_layers(model):
    """Return the middle of each layer's block; encoder and decoder meet at the code."""
    code = model.layers.index(model.get_layer("code"))
    sides = model.layers[:code][::-1], model.layers[code + 1 :]
    rows = [{CODE: model.layers[code]}]
    for left, right in itertools.zip_longest(*sides):
        pair = {ENCODER: left, DECODER: right}
        rows.append({x: layer for x, layer in pair.items() if layer is not None})
    places, top = {}, 0.02
    for row in reversed(rows):
        rise = max(_rise(layer) for layer in row.values())
        places |= {layer: (x, top + rise / 2) for x, layer in row.items()}
        top += rise + GAP
    return places


def _block(layer):
    """Return the height and width of a layer's block."""
    _, height, _, channels = _all(layer.output)[0].shape
    return PIXEL * height, CHANNEL * channels


def _label(layer):
    """Return the lines beside a layer's block."""
    shape = " × ".join(map(str, _all(layer.output)[0].shape[1:]))
    count = layer.count_params()
    return [layer.name, shape] + ([f"{count:,} weights"] if count else [])


def _rise(layer):
    """Return how much height a layer takes, block and label."""
    return max(_block(layer)[0], LINE * len(_label(layer)))


def _draw_layer(axis, layer, x, y):
    height, width = _block(layer)
    color = "#cfe3f1" if layer.count_params() else "white"
    corner = (x - width / 2, y - height / 2)
    axis.add_patch(Rectangle(corner, width, height, facecolor=color, edgecolor=COLORS[0]))
    side, align = (-1, "right") if x < CODE else (1, "left")
    # beside the widest block of the book, so that the labels stand in one line
    axis.text(x + side * (CHANNEL * 16 + 0.08), y, "\n".join(_label(layer)), ha=align, va="center")


def _connections(model):
    """Yield (layer, layer that takes its output, whether that output is places of maxima)."""
    for target, source in itertools.product(model.layers, model.layers):
        for tensor in _all(target.input):
            if source is not target and any(tensor is each for each in _all(source.output)):
                yield source, target, "int" in str(tensor.dtype)


def _draw_arrow(axis, source, target, places, carries_places):
    """Draw an arrow from one layer's block to another's."""
    ends = _ends_of_places if carries_places else _ends
    start, end = ends((*places[source], *_block(source)), (*places[target], *_block(target)))
    style = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "color": "#444444"}
    if carries_places:
        style |= {"linestyle": "--", "color": COLORS[1]}
        middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        axis.text(*middle, "places ", ha="right", va="bottom", color=COLORS[1])
    axis.annotate("", end, start, arrowprops=style)


def _ends(source, target):
    """Return where an arrow leaves one block and meets the other: above and below."""
    (x1, y1, height1, width1), (x2, y2, height2, width2) = source, target
    down = 1 if y2 > y1 else -1
    x1 += width1 / 4 if x1 == CODE else 0
    x2 -= width2 / 4 if x2 == CODE else 0
    return (x1, y1 + down * height1 / 2), (x2, y2 - down * height2 / 2)


def _ends_of_places(source, target):
    """Return the same for an arrow from the encoder, or the code, across to the decoder."""
    (x1, y1, height1, width1), (x2, y2, _, width2) = source, target
    start = (x1, y1 - height1 / 2) if x1 == CODE else (x1 + width1 / 2, y1)
    return start, (x2 - width2 / 2, y2)


def _all(tensors):
    return list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]


def _arrays_figure(named, highlight):
    """Draw all arrays in one coordinate system, so that their cells have one size."""
    width = sum(array.shape[1] + 1 for array in named.values()) - 1
    height = max(array.shape[0] for array in named.values()) + 1
    cell = min(0.5, WIDTH / width)
    figure = Figure((cell * width + 0.1, cell * height + 0.1))
    axis = figure.add_axes((0, 0, 1, 1))
    left = 0
    for title, array in named.items():
        axis.text(left + array.shape[1] / 2, -0.5, title, ha="center", va="center")
        _draw_cells(axis, array, left, highlight.get(title, np.zeros(array.shape, bool)))
        left += array.shape[1] + 1
    margin = 0.05 / cell
    axis.set(xlim=(-margin, width + margin), ylim=(height - 1 + margin, -1 - margin))
    axis.set_axis_off()
    return figure


def _draw_cells(axis, array, left, tinted):
    for (i, j), value in np.ndenumerate(array):
        color = "#fde3c8" if tinted[i, j] else "white"
        axis.add_patch(Rectangle((left + j, i), 1, 1, facecolor=color, edgecolor="#888888"))
        axis.text(left + j + 0.5, i + 0.5, f"{value:.3g}", ha="center", va="center")


def _grid(rows, columns, cell, label=0.0):
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, rows * (cell + label) + 0.05), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis in axes.flat:
            axis.set(xticks=[], yticks=[])
        return figure, axes


def _plane(image):
    return np.clip(np.asarray(image)[..., 0], 0, 1)


def _dots():
    """Yield how to draw one log after the other: black, in different shapes."""
    for marker in itertools.cycle(DOTS):
        yield {"color": "black", "marker": marker, "markersize": 4, "linestyle": "none"}


def _lines():
    """Yield how to draw one run after the other; black is left to the logs."""
    for linestyle, color in itertools.cycle(itertools.product(DASHES, COLORS[:-1])):
        yield {"color": color, "linestyle": linestyle}


def _growing_means(step, loss, points=100):
    """Average over windows that grow with the step, so that a logarithmic axis is filled evenly."""
    edges = np.unique(np.geomspace(1, len(step), points).astype(int))[:-1]
    parts = zip(np.split(step, edges), np.split(loss, edges), strict=True)
    return np.array([(steps.mean(), losses.mean()) for steps, losses in parts]).T


def _svg(figure):
    stream = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return Picture(stream.getvalue(), "svg")


def _png(figure):
    stream = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
    return Picture(stream.getvalue(), "png")
