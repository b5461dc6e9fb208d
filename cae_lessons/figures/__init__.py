"""Every figure of the book, one function each, in one style.

Each function returns an object that a notebook shows as it is: lines as SVG, pixels as PNG,
animations as HTML, a table of layers as a data frame.  `save` writes a figure to a file.  Nothing
here touches Matplotlib's global state.
"""

from cae_lessons.figures.animations import Animation, sliding, stamping, unpooling
from cae_lessons.figures.cells import tinted
from cae_lessons.figures.code_plane import accuracies, code_plane, mosaic
from cae_lessons.figures.codes import code_bits, code_sizes, splits
from cae_lessons.figures.curves import growth, lines, loss_curves, ranges, scoreboard, watched
from cae_lessons.figures.denoising import against_baselines
from cae_lessons.figures.dots import diagonal, strip
from cae_lessons.figures.images import digits, feature_maps, pictures, receptive_fields
from cae_lessons.figures.nets import architecture, layer_table
from cae_lessons.figures.odd_images import areas, cases, roc, score_groups
from cae_lessons.figures.style import COLORS, STYLE, WIDTH, Picture
from cae_lessons.figures.tables import arrays, matrix, phases, survival

__all__ = [
    "COLORS",
    "STYLE",
    "WIDTH",
    "Animation",
    "Picture",
    "accuracies",
    "against_baselines",
    "architecture",
    "areas",
    "arrays",
    "cases",
    "code_bits",
    "code_plane",
    "code_sizes",
    "diagonal",
    "digits",
    "feature_maps",
    "growth",
    "layer_table",
    "lines",
    "loss_curves",
    "matrix",
    "mosaic",
    "phases",
    "pictures",
    "ranges",
    "receptive_fields",
    "roc",
    "score_groups",
    "scoreboard",
    "sliding",
    "splits",
    "stamping",
    "strip",
    "survival",
    "tinted",
    "unpooling",
    "watched",
]
