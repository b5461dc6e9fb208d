"""The figures show the arrays that they are given."""

import functools
import io
import re
from itertools import islice, pairwise

import keras
import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

import cae_lessons as cae
from cae_lessons.figures import curves, dots, nets
from cae_lessons.figures.style import png
from cae_lessons.figures.tables import arrays_figure
from cae_lessons.training import TrainingRun, article_run

figures = cae.figures


def pixels(picture):
    data = picture.data if hasattr(picture, "data") else picture
    return imread(io.BytesIO(data), format="png")[..., :3]


def run(losses):
    return TrainingRun(list(range(len(losses))), list(losses), 1.0, {"steps": len(losses)})


def test_digits_are_drawn_light_on_dark():
    black, white = np.zeros((3, 4, 4, 1)), np.ones((3, 4, 4, 1))
    assert (
        pixels(figures.digits({"": black})).mean()
        < 0.5
        < pixels(figures.digits({"": white})).mean()
    )


def test_each_row_of_digits_is_drawn():
    halves = pixels(figures.digits({"a": np.zeros((2, 4, 4, 1)), "b": np.ones((2, 4, 4, 1))}))
    upper, lower = np.array_split(halves, 2)
    assert upper.mean() < lower.mean()


def test_pictures_outside_the_range_are_drawn_as_the_nearer_end():
    assert np.array_equal(
        pixels(figures.pictures({"x": np.full((3, 3), 7.0)})),
        pixels(figures.pictures({"x": np.ones((3, 3))})),
    )


RED_AND_GREEN = np.zeros((2, 4, 4, 3))
RED_AND_GREEN[0, ..., 0] = RED_AND_GREEN[1, ..., 1] = 1


def colored(picture):
    """Return the shares of a picture that are red, and that are green."""
    found = pixels(picture)
    return [np.mean(np.all(np.isclose(found, rgb), axis=-1)) for rgb in ([1, 0, 0], [0, 1, 0])]


def test_images_of_three_channels_are_drawn_in_colour():
    drawn = {
        "digits": figures.digits({"": RED_AND_GREEN, "grey": np.zeros((2, 4, 4, 1))}),
        "pictures": figures.pictures({"red": 7 * RED_AND_GREEN[0], "green": RED_AND_GREEN[1]}),
    }
    for name, picture in drawn.items():
        red, green = colored(picture)
        assert red == pytest.approx(green, rel=0.1), name
        assert red > 0.05, name
    field = np.zeros((4, 4), bool)
    red, green = colored(figures.receptive_fields(RED_AND_GREEN[0], {"": field}))
    assert red > 0.2
    assert green == 0


def test_a_channel_of_one_is_drawn_as_no_channel():
    image = np.random.default_rng(0).random((5, 6))
    with_channel = figures.pictures({"x": image[..., None]})
    assert with_channel.data == figures.pictures({"x": image}).data


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_images_of_other_channels_are_refused(channels):
    images = np.zeros((2, 4, 4, channels))
    message = rf"must have 1 channel \(grey\) or 3 \(colour\), got shape \(4, 4, {channels}\)"
    for draw in (
        lambda: figures.digits({"": images}),
        lambda: figures.pictures({"": images[0]}),
        lambda: figures.receptive_fields(images[0], {"": np.zeros((4, 4), bool)}),
    ):
        with pytest.raises(ValueError, match=message):
            draw()


def test_rows_of_no_images_are_refused():
    for rows in ({}, {"a": np.zeros((0, 4, 4, 1))}):
        with pytest.raises(ValueError, match="must hold equal numbers of images, one or more"):
            figures.digits(rows)


def test_rows_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"must hold equal numbers of images.* got \{a: 2, b: 1\}"):
        figures.digits({"a": np.zeros((2, 4, 4, 1)), "b": np.zeros((1, 4, 4, 1))})


def test_rows_without_labels_are_refused():
    with pytest.raises(ValueError, match="rows are a ndarray, must be a dict"):
        figures.digits(np.zeros((2, 4, 4, 1)))


def test_a_picture_is_saved_under_a_name_of_its_kind_only(tmp_path):
    picture = figures.pictures({"x": np.ones((3, 3))})
    picture.save(tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes() == picture.data
    with pytest.raises(ValueError, match=r"the picture is png, .* got .*x\.jpg"):
        picture.save(tmp_path / "x.jpg")


def test_only_dead_maps_are_crossed_out():
    maps = np.ones((7, 7, 4))
    plain = pixels(figures.feature_maps(maps, columns=4))
    crossed = pixels(figures.feature_maps(maps, dead=[False, True, False, False], columns=4))
    changed = np.nonzero(np.any(plain != crossed, axis=(0, 2)))[0] / plain.shape[1]
    assert 0.25 <= changed.min() <= changed.max() <= 0.5


def test_growing_means_keep_the_total():
    losses = np.arange(1, 1001.0)
    steps, means = curves._growing_means(np.arange(1000), losses)
    assert steps[0] == 0
    assert means[0] == 1
    assert np.all(np.diff(steps) > 0)
    assert np.allclose(means, steps + 1)  # the mean of a straight line is its value at the middle


def test_a_map_on_a_scale_of_its_own_is_black_only_where_it_is_zero():
    maps = np.zeros((4, 4, 3))
    maps[..., 0], maps[..., 1] = 1.0, 0.01
    shared, own = (
        pixels(figures.feature_maps(maps, columns=3, one_scale=scale)) for scale in (True, False)
    )
    black = [np.mean(picture < 0.1) for picture in (shared, own)]
    assert black[0] > 1.5 * black[1] > 0


def test_pictures_stand_in_rows_where_columns_are_given():
    named = {str(k): np.ones((4, 4)) for k in range(8)}
    wide, tall = (pixels(figures.pictures(named, columns=n)).shape for n in (None, 2))
    assert wide[0] < wide[1]
    assert tall[0] > tall[1]


def test_loss_curves_draw_every_run_and_floor():
    few = figures.loss_curves({"a": article_run("strided")}).data
    more = figures.loss_curves(
        {"a": article_run("strided"), "b": run([0.1, 0.05])}, {"floor": 0.1}
    ).data
    assert more.count(b"<path") > few.count(b"<path")
    assert few.count(figures.COLORS[0].encode()) == 0  # logs are black
    assert more.count(figures.COLORS[0].encode()) > 0  # runs are not, however short


def test_loss_curves_label_steps_and_losses_as_decimals_and_every_floor():
    floors = {"all black": 0.114, "best constant": 0.0964, "mean image": 0.0674}
    curves_drawn = figures.loss_curves({"a": run(np.geomspace(0.1, 0.001, 2000))}, floors)
    text = " ".join(drawn_text(curves_drawn))
    assert all(word in text for word in (*floors, "0.1", "0.01", "0.001", "1,000", "step + 1"))


def test_loss_curves_highlight_some_runs_and_leave_the_others_grey():
    runs = {f"seed {k}": run([0.1, 0.05, 0.02]) for k in range(5)}
    drawn = figures.loss_curves(runs, highlight=["seed 3"])
    text = drawn_text(drawn)
    assert "seed 3" in text
    assert "seed 2" not in text
    assert text.count("the other runs") == 1
    assert figures.COLORS[0].encode() in drawn.data
    assert figures.COLORS[1].encode() not in drawn.data


def test_labels_are_spread_no_further_than_they_must():
    assert curves._spread([0, 100], gap=10) == [0, 100]
    assert curves._spread([50, 50, 100], gap=10) == [45, 55, 100]
    spread = curves._spread([0, 1, 2, 13, 60], gap=10)
    assert min(np.diff(spread)) >= 10
    assert np.mean(spread[:4]) == pytest.approx(4)


def dots_of(picture):
    return picture.data.count(b"<g clip-path=")


def test_strip_draws_every_number_and_names_some():
    rows = {"seeds": dict.fromkeys(range(20), 0.3) | {20: 2.3}, "article": {400: 2.4}}
    drawn = figures.strip(rows, "loss", {"two": 2, "four": 4}, {20: "seed 20"})
    fewer = figures.strip({**rows, "article": {}}, "loss", {"two": 2, "four": 4})
    assert dots_of(drawn) == dots_of(fewer) + 1
    words = drawn_text(drawn)
    assert all(word in words for word in ("seeds", "article", "loss", "two", "four", "seed 20"))
    assert figures.COLORS[0].encode() in drawn.data
    assert figures.COLORS[0].encode() not in fewer.data


def test_strip_stacks_what_would_cover_another():
    places = dots._stack({"a": 1.0, "b": 1.04, "c": 1.08, "d": 2.0}, width=0.05)
    assert places == {"a": (1.0, 0), "b": (1.04, 1), "c": (1.08, 0), "d": (2.0, 0)}


def test_runs_and_logs_are_drawn_alike_only_after_many():
    lines = [tuple(each.values()) for each in islice(curves._lines(), 18)]
    assert len(set(lines)) == 18
    assert "#000000" not in {color for color, _ in lines}
    dots = list(islice(curves._dots(), 4))
    assert len({each["marker"] for each in dots}) == 4
    assert {each["color"] for each in dots} == {"black"}


def test_arrays_tint_the_marked_cells():
    plain = figures.arrays({"x": np.eye(3, dtype=int)}).data
    tinted = figures.arrays({"x": np.eye(3, dtype=int)}, {"x": np.eye(3, dtype=bool)}).data
    assert tinted.count(b"#fde3c8") - plain.count(b"#fde3c8") == 3


def test_tinted_cells_hold_their_numbers_but_zeros():
    texts = labels(figures.tinted({"a": [[0, 1], [2, 0]], "b": [[3]]}))
    assert texts == ["1", "2", "a", "3", "b"]
    assert labels(figures.tinted({"a": [[1, 2]]}, numbers=False)) == ["a"]


def test_tinted_cells_are_the_darker_the_larger_their_numbers():
    picture = figures.tinted({"a": [[0, 1, 2]]}, numbers=False).data.decode()
    # White, then half as blue as the darkest, then the darkest.
    tints = re.findall(r"fill: (#\w{6}); stroke: #bbbbbb", picture)
    assert [tints[0], tints[2]] == ["#ffffff", figures.COLORS[0]]
    assert tints[0] > tints[1] > tints[2]


def test_tinted_cells_get_the_boxes_and_dots_that_are_asked_for():
    plain = figures.tinted({"a": np.ones((4, 4))}).data
    boxed = figures.tinted({"a": np.ones((4, 4))}, boxes={"a": [(0, 0, 2, 2), (2, 2, 1, 1)]}).data
    assert boxed.count(b"stroke-width: 2.5") - plain.count(b"stroke-width: 2.5") == 2
    blocks = figures.tinted({"a": np.ones((4, 4))}, block=2).data
    assert blocks.count(b"stroke: #666666") - plain.count(b"stroke: #666666") == 4
    dotted = figures.tinted({"a": np.ones((4, 4))}, dots={"a": np.eye(4, dtype=bool)}).data
    assert dotted.count(b"<use ") - plain.count(b"<use ") == 4


def test_stamping_ends_with_the_transposed_convolution():
    import tensorflow as tf

    image, kernel = np.array([[1.0, 2.0], [3.0, 4.0]]), np.arange(9.0).reshape(3, 3)
    expected = tf.nn.conv2d_transpose(
        image[None, ..., None], kernel[..., None, None], (1, 5, 5, 1), 2, "VALID"
    )
    animation = figures.stamping(image, kernel, stride=2)
    named = {"input": image, "kernel": kernel, "output": expected.numpy()[0, ..., 0]}
    last = np.zeros((5, 5), bool)
    last[2:, 2:] = True
    with matplotlib.rc_context(figures.STYLE):
        corner = np.array([[False, False], [False, True]])
        still = png(arrays_figure(named, {"input": corner, "output": last}))
    assert animation.frames[-1] == still.data
    assert len(animation.frames) == len(animation.captions) == 5


def test_sliding_ends_with_the_convolution():
    image, kernel = np.arange(25.0).reshape(5, 5), np.arange(9.0).reshape(3, 3)
    expected = keras.ops.conv(image[None, ..., None], kernel[..., None, None], 2, "valid")
    named = {"input": image, "kernel": kernel, "output": np.array(expected)[0, ..., 0]}
    seen = np.zeros((5, 5), bool)
    seen[2:, 2:] = True
    with matplotlib.rc_context(figures.STYLE):
        corner = np.array([[False, False], [False, True]])
        still = png(arrays_figure(named, {"input": seen, "output": corner}))
    animation = figures.sliding(image, kernel, stride=2)
    assert animation.frames[-1] == still.data
    assert len(animation.frames) == len(animation.captions) == 5
    assert animation.captions[-1].endswith(f"is {expected[0, 1, 1, 0]:g}.")


def test_signs_stand_between_the_arrays():
    named = {"x": [[1, 2]], "kernel": [[3]], "y": [[4, 5]]}
    signed = labels(figures.arrays(named, signs=("∗", "=")))
    assert sorted(set(signed) - set(labels(figures.arrays(named)))) == ["=", "∗"]


def unpooled(kind, values, argmax):
    """Return what Keras or the package's own layer makes of the values."""
    if kind == "argmax":
        return cae.layers.MaxUnpooling2D(2)([values, argmax])
    layer = keras.layers.UpSampling2D if kind == "nearest" else cae.layers.ZeroFillUnpooling2D
    return layer(2)(values)


def test_unpooling_ends_with_what_the_layers_give():
    values, argmax = np.array([[5.0, 7.0], [1.0, 4.0]]), np.array([[4, 6], [8, 10]])
    masks = {
        "zero-fill": cae.layers.corner_mask(4, 2)[..., 0],
        "nearest": np.ones((4, 4)),
        "argmax": np.isin(np.arange(16).reshape(4, 4), argmax),
    }
    layers = values[None, ..., None], argmax[None, ..., None]
    products = {name: np.array(unpooled(name, *layers))[0, ..., 0] for name in masks}
    above = {"values": values} | {f"mask: {name}": mask.astype(int) for name, mask in masks.items()}
    below = {"spread": products["nearest"]} | products
    last = {title: np.zeros(array.shape, bool) for title, array in (above | below).items()}
    for tinted in last.values():
        tinted[len(tinted) // 2 :, len(tinted) // 2 :] = True
    with matplotlib.rc_context(figures.STYLE):
        still = png(arrays_figure(above, last, below=below))
    animation = figures.unpooling(values, masks)
    assert animation.frames[-1] == still.data
    assert len(animation.frames) == len(animation.captions) == 5
    assert all(name in animation.alt for name in masks)


@pytest.mark.parametrize(
    ("shapes", "message"), [([(4, 5)], "blocks"), ([(4, 4), (2, 2)], "one shape"), ([], "one")]
)
def test_unpooling_refuses_masks_without_whole_blocks(shapes, message):
    masks = {str(shape): np.ones(shape) for shape in shapes}
    with pytest.raises(ValueError, match=message):
        figures.unpooling(np.ones((2, 2)), masks)


def test_diagonal_has_a_dot_for_each_pair():
    pairs = np.array([[0.08, 0.081], [0.08, 0.081], [0.104, 0.104]])
    dots = [
        figures.diagonal(*some.T, "floor", "loss").data.decode().count(f"fill: {figures.COLORS[0]}")
        for some in (pairs[1:], pairs)
    ]
    assert dots[1] - dots[0] == 1


def test_receptive_fields_tint_the_seen_pixels_only():
    seen = np.zeros((4, 4), bool)
    seen[:2, :2] = True
    image = np.zeros((4, 4, 1))
    picture = pixels(figures.receptive_fields(image, {"": seen}))
    plain = pixels(figures.receptive_fields(image, {"": ~(seen | True)}))
    rows, columns = np.nonzero(np.any(picture != plain, axis=-1))
    black = np.argwhere(np.all(plain == 0, axis=-1))  # with the frame, a little more
    middle = black.mean(axis=0)
    assert rows.max() <= middle[0] + 1
    assert columns.max() <= middle[1] + 1
    assert len(rows) == pytest.approx(len(black) / 4, rel=0.05)


def drawn_text(picture):
    """Return the texts of an SVG, which Matplotlib notes beside their outlines."""
    return re.findall(r"<!-- (.*?) *-->", picture.data.decode())


NETS = {
    "strided": cae.strided_autoencoder,
    "article": lambda: cae.unpooling_autoencoder("zero-fill"),
    "mirror": lambda: cae.unpooling_autoencoder("nearest", decoder_order="unpool-deconv"),
    "argmax": lambda: cae.unpooling_autoencoder("argmax", decoder_order="unpool-deconv"),
    "biases": lambda: cae.strided_autoencoder(decoder_bias=True, output="logits"),
}


@pytest.mark.parametrize("net", NETS)
def test_architecture_names_every_layer_with_its_shape_and_weights(net):
    model = NETS[net]()
    expected = []
    for layer in model.layers:
        output = layer.output[0] if isinstance(layer.output, list | tuple) else layer.output
        weights = sum(np.size(array) for array in layer.get_weights())
        expected += [layer.name, "{} × {} × {}".format(*output.shape[1:])]
        expected += [f"{weights:,} weights"] * (weights > 0)
    text = drawn_text(figures.architecture(model))
    assert sorted(text) == sorted(expected + ["places"] * (2 if net == "argmax" else 0))


def test_architecture_draws_blocks_by_the_output_shapes():
    model = cae.unpooling_autoencoder("nearest")
    blocks = nets._blocks(model)
    assert [block.name for block in blocks] == [layer.name for layer in model.layers]
    sizes = np.array([(block.height, block.width) for block in blocks])
    shapes = np.array([layer.output.shape[1::2] for layer in model.layers])
    drawn = np.maximum(shapes, (0, nets.LEAST_MAPS))
    assert np.allclose(sizes / sizes[0], drawn / drawn[0])
    places = nets._places(blocks)
    columns = [places[block][0] for block in blocks]
    assert columns == [nets.ENCODER] * 4 + [nets.CODE] + [nets.DECODER] * 4
    heights = [places[block][1] for block in blocks]
    assert np.all(np.diff(heights[:5]) > 0)  # down to the code
    assert np.all(np.diff(heights[4:]) < 0)  # and up again


def connections(model):
    """Return the names at both ends of each arrow, and of those that carry places."""
    found = list(nets._connections(nets._blocks(model)))
    return [
        sorted((a.name, b.name) for a, b, where in found if where == places)
        for places in (False, True)
    ]


def test_architecture_connects_each_pooling_with_its_unpooling():
    model = NETS["argmax"]()
    numbers, places = connections(model)
    assert places == [("code", "unpooling_1"), ("pooling_1", "unpooling_2")]
    assert numbers == sorted(pairwise(layer.name for layer in model.layers))


def test_whole_numbers_that_a_net_takes_are_not_places():
    numbers, places = connections(
        keras.Sequential([keras.Input((4,), dtype="int32"), keras.layers.Embedding(9, 2, name="e")])
    )
    assert (numbers, places) == ([("input", "e")], [])


def skipping_net():
    """A net with a connection past the code, one past a layer, and a sum of Python's own."""
    layer = functools.partial(keras.layers.Conv2D, 4, 3, padding="same")
    image = keras.Input((8, 8, 1), name="image")
    outer = layer(name="outer")(image)
    inner = layer(name="inner", strides=2)(outer)
    summed = layer(name="residual")(inner) + inner
    up = keras.layers.UpSampling2D(name="up")(summed)
    both = keras.layers.Concatenate(name="both")([up, outer])
    return keras.Model(image, layer(name="last")(both))


def test_architecture_draws_connections_that_skip_layers():
    keras.utils.clear_session()  # or the sum is called add_1, add_2, …
    model = skipping_net()
    numbers, places = connections(model)
    assert not places
    assert numbers == sorted(
        [("image", "outer"), ("outer", "inner"), ("inner", "residual"), ("residual", "add"),
         ("inner", "add"), ("add", "up"), ("up", "both"), ("outer", "both"), ("both", "last")]
    )  # fmt: skip
    assert {"inner", "add", "both"} <= set(drawn_text(figures.architecture(model)))


class Subclassed(keras.Model):
    """A model with two models inside, which says nowhere how they hang together."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.encoder = keras.Sequential(
            [
                keras.layers.Conv2D(16, 3, strides=2, name="convolution"),
                keras.layers.BatchNormalization(name="normalization"),
                keras.layers.Dropout(0.5, name="dropout"),
                keras.layers.Flatten(name="flat"),
                keras.layers.Dense(5, name="bottleneck"),
            ],
            name="encoder",
        )
        self.decoder = keras.Sequential(
            [keras.layers.Dense(36, name="wide"), keras.layers.Reshape((6, 6, 1), name="picture")],
            name="decoder",
        )

    def call(self, images):
        return self.decoder(self.encoder(images))


CHAIN = [
    ("input", (6, 6, 1), 0),
    ("encoder/convolution", (2, 2, 16), 160),
    ("encoder/normalization", (2, 2, 16), 64),
    ("encoder/dropout", (2, 2, 16), 0),
    ("encoder/flat", (64,), 0),
    ("encoder/bottleneck", (5,), 325),
    ("decoder/wide", (36,), 216),
    ("decoder/picture", (6, 6, 1), 0),
]


def functional(inner):
    """Build the same model as a functional one."""
    image = keras.Input((6, 6, 1))
    return keras.Model(image, inner.decoder(inner.encoder(image)))


@pytest.mark.parametrize("build", [lambda inner: inner, functional])
def test_architecture_unfolds_models_inside_the_model(build):
    inner = Subclassed()
    inner(np.zeros((2, 6, 6, 1), "float32"))
    model = build(inner)
    blocks = nets._blocks(model)
    assert [(block.name, block.shape, block.weights) for block in blocks] == CHAIN
    assert [[source.name for source, _ in block.sources] for block in blocks] == [
        [], *([name] for name, *_ in CHAIN[:-1])
    ]  # fmt: skip
    assert blocks[nets._find_code(blocks)].name == "encoder/bottleneck"
    text = drawn_text(figures.architecture(model))
    assert {"encoder/bottleneck", "5", "325 weights", "decoder/picture"} <= set(text)


def test_architecture_leaves_the_model_as_it_was():
    model = cae.strided_autoencoder()
    before = model.get_weights(), [dict(layer.__dict__) for layer in model.layers]
    figures.architecture(model)
    assert [dict(layer.__dict__) for layer in model.layers] == before[1]
    for old, new in zip(before[0], model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def chain(*layers, shape=(28, 28, 1)):
    return keras.Sequential([keras.Input(shape), *layers])


@pytest.mark.parametrize(
    ("model", "code"),
    [
        (chain(*(keras.layers.Dense(k, name=f"{k}") for k in (9, 3, 8)), shape=(9,)), "3"),
        (chain(keras.layers.Conv2D(8, 28, name="a"), keras.layers.Flatten(name="b"),
               keras.layers.Dense(784, name="c")), "a"),
        (chain(*(keras.layers.Conv2D(k, 1, name=f"{k}") for k in (9, 2, 3, 1))), "2"),
        (chain(keras.layers.Conv2D(4, 2, strides=2, name="a"), keras.layers.Conv2D(64, 1, name="b"),
               keras.layers.Conv2DTranspose(1, 2, strides=2, name="c")), "a"),
        (chain(keras.layers.Conv2D(4, 2, strides=2, name="code"),
               keras.layers.Conv2D(2, 2, strides=2, name="b"),
               keras.layers.UpSampling2D(4, name="c")), "code"),
        (chain(keras.layers.Flatten(name="a")), "a"),
    ],
)  # fmt: skip
def test_architecture_finds_the_code(model, code):
    blocks = nets._blocks(model)
    assert blocks[nets._find_code(blocks)].name == code


def test_architecture_of_many_layers_is_taller_and_nothing_overlaps():
    layers = [keras.layers.Conv2D(8, 3, padding="same") for _ in range(30)]
    blocks = nets._blocks(chain(*layers, keras.layers.Flatten(name="code")))
    places = nets._places(blocks)
    rows = sorted((y - block.rise / 2, y + block.rise / 2) for block, (_, y) in places.items())
    assert all(bottom < top for (_, bottom), (top, _) in pairwise(rows))
    assert rows[-1][1] > 20


def test_architecture_makes_room_for_long_names_and_wide_layers():
    name = "a_name_that_is_much_longer_than_the_column_beside_it"
    model = chain(keras.layers.Dense(4096, name=name), keras.layers.Conv2D(512, 3, name="code"))
    blocks = nets._blocks(model)
    assert max(block.width for block in blocks) <= nets.CHANNEL * 32 + 1e-9
    left, right = nets._overhang(nets._places(blocks))
    assert left > 2
    assert right == 0
    width = re.search(rb'<svg [^>]*width="([\d.]+)pt"', figures.architecture(model).data)
    assert float(width[1]) == pytest.approx(72 * (figures.WIDTH + left))


def test_architecture_of_a_layer_that_is_called_twice():
    image, layer = keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 1, name="twice")
    text = drawn_text(figures.architecture(keras.Model(image, layer(layer(image)))))
    assert text.count("2 weights") == text.count("the same 2 weights") == 1
    assert text.count("twice") == 2


def test_layer_table_has_a_row_for_each_layer_and_one_for_the_net():
    model = cae.strided_autoencoder()
    table = figures.layer_table(model)
    assert list(table.index) == [*(layer.name for layer in model.layers), "all layers"]
    shapes = [" × ".join(map(str, layer.output.shape[1:])) for layer in model.layers]
    assert list(table["output shape"]) == [*shapes, ""]
    counts = [layer.count_params() for layer in model.layers] + [model.count_params()]
    assert list(table["weights"]) == [f"{count:,}" for count in counts]
    assert "<th>layer</th>" in " ".join(table.to_html().split())


def test_layer_table_counts_the_weights_of_a_layer_that_is_called_twice_once():
    image, layer = keras.Input((8, 8, 1)), keras.layers.Conv2D(1, 3, padding="same", name="twice")
    table = figures.layer_table(keras.Model(image, layer(layer(image))))
    assert list(table.loc["twice", "weights"]) == ["10", "the same 10"]
    assert table.loc["all layers", "weights"] == "10"


@pytest.mark.parametrize("model", [Subclassed(), keras.Sequential([keras.layers.Dense(3)])])
def test_architecture_wants_a_built_model(model):
    with pytest.raises(ValueError, match=f"{model.name} must be built, .*call it once on images"):
        figures.architecture(model)


def test_architecture_wants_a_model():
    with pytest.raises(ValueError, match=r"must be a keras\.Model, got a Dense"):
        figures.architecture(keras.layers.Dense(3))


def test_animation_starts_at_its_last_frame_and_asks_no_other_host():
    page = figures.stamping([[1, 2]], np.ones((2, 2)), stride=1)._repr_html_()
    assert 'max="2" value="2"' in page
    assert not re.search(r"https?://", page)


def test_same_input_same_bytes():
    curves = {"a": run(np.linspace(0.1, 0.01, 80))}
    assert figures.loss_curves(curves).data == figures.loss_curves(curves).data


def test_figures_leave_matplotlib_as_the_user_set_it():
    before = dict(matplotlib.rcParams)
    figures.phases(np.full((4, 4), 0.01))
    figures.matrix(np.eye(3), "rows", "columns")
    assert dict(matplotlib.rcParams) == before


def test_a_picture_is_saved_as_it_is_shown(tmp_path):
    picture = figures.phases(np.full((4, 4), 0.01))
    picture.save(tmp_path / "phases.svg")
    assert (tmp_path / "phases.svg").read_bytes() == picture.data
    assert picture._repr_mimebundle_() == {"image/svg+xml": picture.data.decode()}


def labels(picture):
    """Return the texts of an SVG picture: Matplotlib notes each in a comment."""
    return re.findall(r"<!-- (.*?) -->", picture.data.decode())


def test_lines_draw_each_curve_with_its_label():
    one = figures.lines([0, 1], {"first": [1, 2]}, "x", "y")
    two = figures.lines([0, 1], {"first": [1, 2], "second": [2, 1]}, "x", "y")
    assert "second" in labels(two)
    assert "second" not in labels(one)
    assert two.data.count(figures.COLORS[1].encode()) > 0


def watched_records(gradients):
    return [
        {"step": k, "pre_activation": [-2.0 * k - 1, -1, 0, 1, 2], "gradient": g, "loss": 0.1}
        for k, g in enumerate(gradients)
    ]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("steps", [1, 2, 12, 30])
def test_exact_zeros_of_the_gradient_are_crosses(steps):
    alive = figures.watched({"net": watched_records([0.5] * steps)})
    dead = figures.watched({"net": watched_records([0.5] + [0.0] * (steps - 1))})
    assert labels(alive).count("×") == 0
    assert labels(dead).count("×") == steps - 1


def test_survival_shows_every_share():
    import pandas as pd

    table = pd.DataFrame({0.01: [0.25, 0.5], 0.001: [1.0, 0.75]}, index=[0.1, 0.02])
    texts = labels(figures.survival({"one": table, "two": table.iloc[::-1]}, runs=8))
    assert [text for text in texts if text.endswith("/8")] == [
        *("2/8", "8/8", "4/8", "6/8"),
        *("4/8", "6/8", "2/8", "8/8"),
    ]


def test_scoreboard_draws_each_run_once_and_floors_where_there_are():
    rows = {"a": (0.01, [0.02, 0.03, 0.114], [True, True, False]), "b": (0.0, [0.001], [True])}
    picture = figures.scoreboard(rows, black=0.114)
    assert {"a", "b"} <= set(labels(picture))
    dots = re.findall(r'<use xlink:href="#\w+" x=.*?style="(.*?)"', picture.data.decode())
    filled = [style for style in dots if f"fill: {figures.COLORS[0]}" in style]
    hollow = [style for style in dots if f"stroke: {figures.COLORS[1]}" in style]
    assert (len(filled), len(hollow)) == (3, 1)


def test_scoreboard_without_floor_has_no_bar():
    with_floor = figures.scoreboard({"a": (0.01, [0.02], [True])}, black=0.114)
    without = figures.scoreboard({"a": (0.0, [0.02], [True])}, black=0.114)
    bar = b"stroke-width: 2"
    assert with_floor.data.count(bar) == without.data.count(bar) + 1


def test_ranges_draw_a_dot_for_each_way_in_each_row():
    rows = {f"net {k}": {"ours": (1, 1, 1), "theirs": (2, 3, 4)} for k in range(3)}
    one, three = (figures.ranges(dict(list(rows.items())[:k]), "times", 1).data for k in (1, 3))
    for color in figures.COLORS[:2]:
        assert three.count(color.encode()) > one.count(color.encode()) > 0


def test_growth_draws_a_curve_and_its_proportion_for_each_size():
    batch = ([1, 10, 100], [2, 20, 200])
    one = figures.growth({"batch": batch}, "ms").data
    two = figures.growth({"batch": batch, "side": batch}, "ms").data
    for color in (figures.COLORS[0], "#888888"):
        assert two.count(color.encode()) > one.count(color.encode()) > 0
    assert figures.growth({"batch": ([1, 10, 100], [150, 180, 200])}, "ms").data != one
