"""Animations of small arrays, which need no server."""

import base64
import hashlib
import json
from collections.abc import Mapping

import matplotlib
import numpy as np
from numpy.typing import ArrayLike

from cae_lessons.figures.style import STYLE, png
from cae_lessons.figures.tables import arrays_figure


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
        What the frames show, for those who can't see them.
    """

    def __init__(self, frames: list[bytes], captions: list[str], alt: str):
        self.frames = frames
        self.captions = captions
        self.alt = alt

    def __repr__(self) -> str:
        return f"<animation of {len(self.frames)} frames>"

    def _repr_html_(self) -> str:
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


def sliding(image: ArrayLike, kernel: ArrayLike, stride: int = 1) -> Animation:
    """Animate a convolution: each output value gathers the input values under the kernel.

    Parameters
    ----------
    image : array_like
        Shape (height, width).
    kernel : array_like
        Shape (kernel height, kernel width).
    stride : int
        How far the kernel moves in the input from one output value to the next.

    Returns
    -------
    Animation
        A frame before the first output value, then one per value.

    Examples
    --------
    >>> len(sliding(np.ones((5, 5)), np.ones((3, 3)), stride=2).frames)
    5
    """
    image, kernel = np.asarray(image), np.asarray(kernel)
    rows, columns = (np.array(image.shape) - kernel.shape) // stride + 1
    output = np.zeros((rows, columns), np.result_type(image, kernel))
    frames = [_window_frame(image, kernel, output, None, stride, at="input")]
    captions = ["Nothing is computed yet."]
    for i, j in np.ndindex(rows, columns):
        window = image[_window(kernel, (i, j), stride)]
        output[i, j] = np.sum(window * kernel)
        frames.append(_window_frame(image, kernel, output, (i, j), stride, at="input"))
        captions.append(f"Output ({i}, {j}): the sum of the products is {output[i, j]:g}.")
    alt = "The kernel moves over the input; each output value is the sum of the products under it."
    return Animation(frames, captions, alt)


def stamping(image: ArrayLike, kernel: ArrayLike, stride: int) -> Animation:
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
        A frame before the first stamp, then one per stamp.

    Examples
    --------
    >>> len(stamping([[1, 2], [3, 4]], np.ones((3, 3)), stride=2).frames)
    5
    """
    image, kernel = np.asarray(image), np.asarray(kernel)
    height = stride * (image.shape[0] - 1) + kernel.shape[0]
    width = stride * (image.shape[1] - 1) + kernel.shape[1]
    output = np.zeros((height, width), np.result_type(image, kernel))
    frames = [_window_frame(image, kernel, output, None, stride, at="output")]
    captions = ["Nothing is stamped yet."]
    for (i, j), value in np.ndenumerate(image):
        output[_window(kernel, (i, j), stride)] += value * kernel
        frames.append(_window_frame(image, kernel, output, (i, j), stride, at="output"))
        captions.append(f"Input ({i}, {j}): add {value:g} × kernel.")
    alt = "The input's values, one after the other, add their multiple of the kernel to the output."
    return Animation(frames, captions, alt)


def _window(kernel, position, stride):
    """Return the rows and columns that the kernel covers."""
    starts = (stride * number for number in position)
    return tuple(
        slice(start, start + size) for start, size in zip(starts, kernel.shape, strict=True)
    )


def _window_frame(image, kernel, output, position, stride, at):
    """Draw the arrays, the kernel's window tinted in the larger one, `at`, and its value."""
    named = {"input": image, "kernel": kernel, "output": output}
    tinted = {title: np.zeros(named[title].shape, bool) for title in ("input", "output")}
    if position is not None:
        tinted["input" if at == "output" else "output"][position] = True
        tinted[at][_window(kernel, position, stride)] = True
    with matplotlib.rc_context(STYLE):
        return png(arrays_figure(named, tinted)).data


def unpooling(values: ArrayLike, masks: Mapping[str, ArrayLike]) -> Animation:
    """Animate unpoolings side by side: each value fills its block, and masks say where it stays.

    Parameters
    ----------
    values : array_like
        Shape (h, w).
    masks : dict of str to array_like of bool
        The names of the unpoolings, and their masks: of one shape (height, width), multiples of h
        and w, the blocks.

    Returns
    -------
    Animation
        A frame before the first value, then one per value.

    Raises
    ------
    ValueError
        The masks differ in shape, or don't divide into a block for each value.

    Examples
    --------
    >>> len(unpooling([[5, 7], [0, 4]], {"nearest": np.ones((4, 4), bool)}).frames)
    5
    """
    values = np.asarray(values)
    kept = {name: np.asarray(mask, bool) for name, mask in masks.items()}
    shapes = {mask.shape for mask in kept.values()}
    if len(shapes) != 1:
        raise ValueError(f"the masks must have one shape, got {sorted(shapes)}")
    (shape,) = shapes
    if any(size % count for size, count in zip(shape, values.shape, strict=True)):
        raise ValueError(
            f"the masks must divide into blocks, one for each of {values.shape} values, "
            f"got shape {shape}"
        )
    rows, columns = (size // count for size, count in zip(shape, values.shape, strict=True))
    spread = np.zeros(shape, values.dtype)
    frames = [_unpooling_frame(values, spread, kept, None)]
    captions = ["No value is unpooled yet."]
    for (i, j), value in np.ndenumerate(values):
        block = (slice(rows * i, rows * (i + 1)), slice(columns * j, columns * (j + 1)))
        spread[block] = value
        frames.append(_unpooling_frame(values, spread, kept, ((i, j), block)))
        captions.append(f"Value ({i}, {j}): {value:g} fills its block, times the mask.")
    names = ", ".join(kept)
    alt = (
        "The values, one after the other, fill their blocks. Below each mask stands its product "
        f"with the filled blocks: {names}."
    )
    return Animation(frames, captions, alt)


def _unpooling_frame(values, spread, masks, place):
    """Draw the masks above their products, one value and its block tinted."""
    above = {"values": values} | {f"mask: {name}": 1 * mask for name, mask in masks.items()}
    below = {"spread": spread} | {name: spread * mask for name, mask in masks.items()}
    tinted = {title: np.zeros(array.shape, bool) for title, array in (above | below).items()}
    if place is not None:
        cell, block = place
        for title, cells in tinted.items():
            cells[cell if title == "values" else block] = True
    with matplotlib.rc_context(STYLE):
        return png(arrays_figure(above, tinted, below=below)).data
