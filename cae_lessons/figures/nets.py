"""How a net is built: a block for each layer, and arrows for what a layer hands on."""

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import keras
import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath

from cae_lessons.figures.style import COLORS, STYLE, WIDTH, Picture, svg
from cae_lessons.tracing import named_layers, watching

if TYPE_CHECKING:
    import pandas

# All in inches, but for the font.
PIXEL, CHANNEL = 0.6 / 28, 0.8 / 32  # of a block, for each row of a map and for each map
ENCODER, CODE, DECODER = 1.82, 2.76, 3.7  # the middles of the columns
LABEL = CHANNEL * 16 + 0.08  # from there to a label: all stand in one line
LINE, GAP = 0.21, 0.2  # of a label, and between two blocks
ARROW = 0.1  # how much longer an arrow to the code is
FONT_SIZE, MARGIN = 12, 0.06

# A block of more rows or maps than these would leave its place, so all are drawn smaller.
MOST_ROWS, MOST_MAPS = 28, 32
LEAST_MAPS = 2.5  # a narrower block couldn't be seen
ANY_SIZE = 28  # of images, for a model that takes them of any size


@dataclass(eq=False)  # a layer that is called twice is two blocks
class Block:
    """A call of a layer.

    Attributes
    ----------
    name : str
        The layer's, after those of the models around it: `encoder/code`.
    shape : tuple of int
        Of the layer's first output, without the batch.
    weights : int
    again : bool
        Whether the layer was called before, with the same weights.
    sources : list of (Block, bool)
        What the layer takes, and whether it is the places of maxima.
    height, width : float
        In inches.
    """

    name: str
    shape: tuple[int, ...]
    weights: int = 0
    again: bool = False
    sources: list = field(default_factory=list)
    height: float = 0.0
    width: float = 0.0

    @property
    def rows(self):
        """The rows of its maps; those of a vector are 1 × 1."""
        return self.shape[-3] if len(self.shape) > 2 else 1

    @property
    def label(self):
        """The lines beside the block."""
        return [self.name, self.size] + [f"{self.count} weights"] * (self.weights > 0)

    @property
    def size(self):
        """The shape as it is written: 7 × 7 × 32."""
        return " × ".join(map(str, self.shape))

    @property
    def count(self):
        """The number of weights as it is written."""
        return f"{'the same ' * self.again}{self.weights:,}"

    @property
    def rise(self):
        """How much height the block takes together with its label."""
        return max(self.height, LINE * len(self.label))


def architecture(model: keras.Model) -> Picture:
    """Draw a net as it is built: the encoder down the left, the code, the decoder up the right.

    A block's height is the height of the layer's maps, its width their number; a vector of k
    numbers is k maps of 1 × 1.  Blocks of layers with weights are tinted.  Under a layer's name
    stand the shape of its output and the number of its weights.

    Parameters
    ----------
    model : keras.Model
        Functional, sequential or subclassed; the layers of models inside it are drawn one by one,
        as `encoder/code`.  The code is the layer of this name.  Without one it is the layer with
        the smallest maps, and of several the first one with the fewest numbers.

    Returns
    -------
    Picture
        SVG.  Solid arrows carry numbers, dashed ones the places of maxima.

    Raises
    ------
    ValueError
        It isn't a Keras model, or its layers aren't known yet.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> architecture(strided_autoencoder()).kind
    'svg'
    """
    blocks = _blocks(model)
    places = _places(blocks)
    height = max(_bottom(block, *place) for block, place in places.items()) + 0.05
    with matplotlib.rc_context(STYLE | {"font.size": FONT_SIZE}):
        left, right = _overhang(places)
        figure = Figure((left + WIDTH + right, height))
        axis = figure.add_axes((0, 0, 1, 1))
        axis.set(xlim=(-left, WIDTH + right), ylim=(height, 0))  # both in inches
        axis.set_axis_off()
        for block, (x, y) in places.items():
            _draw_block(axis, block, x, y)
        for source, target, carries_places in _connections(blocks):
            _draw_arrow(axis, source, target, places, carries_places)
        return svg(figure)


def layer_table(model: keras.Model) -> "pandas.DataFrame":
    """Return a table of a net's layers: what each gives for one image, and its weights.

    Parameters
    ----------
    model : keras.Model
        As for `architecture`.

    Returns
    -------
    pandas.DataFrame
        A row for each layer in the order of the calls, and one for the whole net; the columns
        `output shape` and `weights` hold strings that are ready to be read.

    Raises
    ------
    ValueError
        As `architecture`.

    Examples
    --------
    >>> from cae_lessons import strided_autoencoder
    >>> layer_table(strided_autoencoder()).loc["code"].tolist()
    ['7 × 7 × 32', '12,832']
    """
    import pandas as pd  # only tables need it

    rows = [(block.name, block.size, block.count) for block in _blocks(model)]
    rows.append(("all layers", "", f"{model.count_params():,}"))
    table = pd.DataFrame(rows, columns=["layer", "output shape", "weights"])
    return table.set_index("layer").rename_axis(index=None, columns="layer")


def _blocks(model):
    """Return a block for each input, and for each call of a layer in the order of the calls."""
    inputs = _inputs(model)
    paths = [path for _, path in named_layers(model).values()]
    containers = {path.rpartition("/")[0] for path in paths}
    blocks = [Block(name, tuple(zeros.shape[1:])) for name, zeros in inputs]
    made = [(zeros, block, 0) for (_, zeros), block in zip(inputs, blocks, strict=True)]

    def note(path, layer, tensors, outputs):
        if path in containers:
            return
        weights = sum(math.prod(weight.shape) for weight in getattr(layer, "weights", ()))
        again = any(block.name == path for block in blocks)
        block = Block(path, tuple(outputs[0].shape[1:]), weights, again)
        block.sources = list(dict.fromkeys(_source(tensor, made) for tensor in tensors))
        blocks.append(block)
        made.extend((output, block, number) for number, output in enumerate(outputs))

    zeros = [each for _, each in inputs]
    with watching(model, note):
        model(zeros[0] if len(zeros) == 1 else zeros, training=False)
    _set_sizes(blocks)
    return blocks


def _inputs(model):
    """Return the name of each input of a model, and one of zeros."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"model must be a keras.Model, got a {type(model).__name__}")
    tensors = getattr(model, "inputs", None)
    if tensors:  # one without a name of its own has a number of Keras'
        names = ["input" if each.name.startswith("keras_tensor") else each.name for each in tensors]
        zeros = [_zeros(each.shape, each.dtype) for each in tensors]
        return list(zip(names, zeros, strict=True))
    shape = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if not shape:
        raise ValueError(
            f"{model.name} must be built, so that its layers are known: call it once on images, "
            "model(images[:1])"
        )
    shapes = shape if isinstance(shape[0], (list, tuple)) else [shape]
    return [("input", _zeros(each, model.input_dtype)) for each in shapes]


def _zeros(shape, dtype):
    sizes = [ANY_SIZE if size is None else size for size in shape[1:]]
    return keras.ops.zeros((1, *sizes), dtype)


def _source(tensor, made):
    """Return the block that made a tensor, and whether the tensor is the places of maxima."""
    for output, block, number in reversed(made):
        if output is tensor:
            return block, number > 0 and "int" in str(output.dtype)
    return made[-1][1], False  # the model's own code made it from what came last


def _set_sizes(blocks):
    """Give blocks their sizes: one scale for all maps, and one for all vectors."""
    rows = max(MOST_ROWS, *(block.rows for block in blocks))
    for kind in (True, False):
        alike = [block for block in blocks if (len(block.shape) > 1) == kind]
        most = max([MOST_MAPS, *(block.shape[-1] for block in alike if block.shape)])
        for block in alike:
            maps = block.shape[-1] if block.shape else 1
            # No smaller than can be seen.
            block.height = PIXEL * max(3, block.rows * (MOST_ROWS / rows))
            block.width = CHANNEL * max(LEAST_MAPS, maps * (MOST_MAPS / most))


def _places(blocks):
    """Return the middle of each block; encoder and decoder meet at the code."""
    code = _find_code(blocks)
    sides = blocks[:code][::-1], blocks[code + 1 :]
    rows = [{CODE: blocks[code]}]
    for left, right in itertools.zip_longest(*sides):
        pair = {ENCODER: left, DECODER: right}
        rows.append({x: block for x, block in pair.items() if block is not None})
    places, top = {}, 0.02
    for row in reversed(rows):
        rise = max(block.rise for block in row.values())
        places |= {block: (x, top + rise / 2) for x, block in row.items()}
        top += rise + GAP
    lowest = blocks[code]  # its label stands below it, where no arrow ends
    x, y = places[lowest]
    places[lowest] = x, y - lowest.rise / 2 + lowest.height / 2 + ARROW
    return places


def _bottom(block, x, y):
    """Return where a block and its label end."""
    if x == CODE:
        return y + block.height / 2 + LINE * len(block.label) + 0.1
    return y + block.rise / 2


def _find_code(blocks):
    """Return the number of the code's block."""
    for number, block in enumerate(blocks):
        if block.name.rpartition("/")[2] == "code":
            return number
    inner = range(1, len(blocks) - 1) or range(len(blocks))
    return min(inner, key=lambda k: (math.prod(blocks[k].shape[:-1]), math.prod(blocks[k].shape)))


def _overhang(places):
    """Return how far labels reach beyond the left and the right of the page's column."""
    left = right = 0
    for block, (x, _) in places.items():
        lines = (TextPath((0, 0), line, size=FONT_SIZE) for line in block.label)
        text = max(line.get_extents().width for line in lines) / 72 + MARGIN
        width = text / 2 if x == CODE else LABEL + text
        if x == CODE:
            left = max(left, width - x)
        if x < CODE:
            left = max(left, width - x)
        else:
            right = max(right, x + width - WIDTH)
    return left, right


def _draw_block(axis, block, x, y):
    color = "#cfe3f1" if block.weights else "white"
    corner = (x - block.width / 2, y - block.height / 2)
    patch = Rectangle(corner, block.width, block.height, facecolor=color, edgecolor=COLORS[0])
    axis.add_patch(patch)
    text = "\n".join(block.label)
    if x == CODE:
        axis.text(x, y + block.height / 2 + 0.05, text, ha="center", va="top")
    else:
        side, align = (-1, "right") if x < CODE else (1, "left")
        axis.text(x + side * LABEL, y, text, ha=align, va="center")


def _connections(blocks):
    """Yield (block, block that takes its output, whether that output is places of maxima)."""
    for target, source in itertools.product(blocks, blocks):
        for block, carries_places in target.sources:
            if block is source:
                yield source, target, carries_places


def _draw_arrow(axis, source, target, places, carries_places):
    """Draw an arrow from one block to another."""
    (x1, y1), (x2, y2) = places[source], places[target]
    style = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "color": "#444444"}
    if carries_places or {x1, x2} == {ENCODER, DECODER}:
        start, end = _ends_across(source, target, places)
    elif x1 == x2 and any(x == x1 and min(y1, y2) < y < max(y1, y2) for x, y in places.values()):
        side = 1 if x1 == ENCODER else -1  # past the blocks between, where no label stands
        start, end = (x1 + side * source.width / 2, y1), (x2 + side * target.width / 2, y2)
        style["connectionstyle"] = f"arc3,rad={-0.3 if (y2 > y1) == (side > 0) else 0.3}"
    else:
        start, end = _ends(source, target, places)
    if carries_places:
        style |= {"linestyle": "--", "color": COLORS[1]}
        middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        axis.text(*middle, "places ", ha="right", va="bottom", color=COLORS[1])
    axis.annotate("", end, start, arrowprops=style)


def _ends(source, target, places):
    """Return where an arrow leaves one block and meets the other: above and below."""
    (x1, y1), (x2, y2) = places[source], places[target]
    down = 1 if y2 > y1 else -1
    x1 += source.width / 4 if x1 == CODE else 0
    x2 -= target.width / 4 if x2 == CODE else 0
    return (x1, y1 + down * source.height / 2), (x2, y2 - down * target.height / 2)


def _ends_across(source, target, places):
    """Return the same for an arrow from the encoder, or the code, across to the decoder."""
    (x1, y1), (x2, y2) = places[source], places[target]
    start = (x1, y1 - source.height / 2) if x1 == CODE else (x1 + source.width / 2, y1)
    return start, (x2 - target.width / 2, y2)
