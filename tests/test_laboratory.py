"""The laboratory's scripts against Keras and the package, in a real browser."""

import json
import re
import runpy
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import cae_lessons as cae

ROOT = Path(__file__).parent.parent
LAB = ROOT / "book" / "_static" / "lab"
EXPORT = runpy.run_path(str(ROOT / "book" / "lab.py"), run_name="lab")
RECIPES = EXPORT["RECIPES"]
# As the page loads them.
PAGE = runpy.run_path(str(ROOT / "book" / "_extensions" / "laboratory.py"))
PARTS = [name for name in PAGE["SCRIPTS"] if "/" not in name]
PARTS = PARTS[: PARTS.index("draw")]  # what doesn't touch the page
LOGITS, PICTURES = 1e-4, 1e-5  # how far the browser's may be from Keras'
FORWARD = """([net, weights, images]) => {
  const made = new Lab.Net(net).fill(Float32Array.from(weights));
  return images.map((image) => {
    const values = Float32Array.from(image.flat(2));
    const [height, width, channels] = [image.length, image[0].length, image[0][0].length];
    return Array.from(made.forward(new Lab.Maps(height, width, channels, values)).values);
  });
}"""


@pytest.fixture(scope="module")
def lab(browser):
    """An empty page with the laboratory's scripts."""
    page = browser.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for name in PARTS:
        page.add_script_tag(path=LAB / f"{name}.js")
    page.add_script_tag(path=LAB / "digits" / "test.js")
    page.add_script_tag(path=LAB / "known.js")
    yield page
    page.close()
    assert complaints == []


@pytest.fixture(scope="module")
def drawings(digits):
    """Digits and what no net was trained on."""
    generator = np.random.default_rng(0)
    lines = np.zeros((28, 28, 1), np.float32)
    lines[4:24, 13:15] = 1
    lines[10, 3:25] = 0.5
    others = [np.zeros_like(lines), np.ones_like(lines), generator.random((28, 28, 1)), lines]
    return np.concatenate([digits.test.images[:50], np.float32(others)])


def ask(lab, function, value):
    """Call a function in the page; as text, because Playwright takes seconds for long lists."""
    text = json.dumps(value, default=lambda array: array.tolist())
    through_text = f"async (text) => JSON.stringify(await ({function})(JSON.parse(text)))"
    return json.loads(lab.evaluate(through_text, text))


def flat(weights):
    """Return all weights of a net in one row."""
    return np.concatenate([np.ravel(weight) for weight in weights]) if weights else []


def run(lab, net, weights, images):
    """Return what the browser's net makes of some images."""
    return np.array(ask(lab, FORWARD, [net, flat(weights), images]))


def rebuilt(name, **options):
    """Return the Keras net that has the weights of the file, and its description."""
    recipe = RECIPES[name]
    model = EXPORT["build"]({**recipe, "options": recipe.get("options", {}) | options})
    left, weights = EXPORT["weights_of"](EXPORT["read"](name)), []
    for weight in model.get_weights():
        now, left = np.split(left, [weight.size])
        weights.append(now.reshape(weight.shape))
    assert left.size == 0
    model.set_weights(weights)
    return model, EXPORT["describe"](model)


def furthest(found, expected):
    return np.abs(found - np.reshape(expected, found.shape)).max()


@pytest.mark.parametrize("name", RECIPES)
def test_whole_net_draws_what_keras_draws(lab, drawings, name):
    model, net = rebuilt(name)
    assert net["layers"] == EXPORT["read"](name)["layers"]
    found = run(lab, net, model.get_weights(), drawings)
    assert furthest(found, cae.reconstruct(model, drawings)) < PICTURES


@pytest.mark.parametrize("name", RECIPES)
def test_whole_net_has_kerass_numbers_before_the_last_activation(lab, drawings, name):
    model, net = rebuilt(name, output="linear")
    found = run(lab, net, model.get_weights(), drawings)
    assert furthest(found, model(drawings)) < LOGITS


@pytest.mark.parametrize("name", ["strided", "mirrored-argmax"])
@pytest.mark.parametrize("axes", [(0, 1), (2, 3)])
def test_a_kernel_with_two_axes_swapped_would_be_seen(lab, drawings, name, axes):
    model, net = rebuilt(name)
    weights = model.get_weights()
    weights[2] = np.swapaxes(weights[2], *axes)  # of the second convolution
    found = run(lab, net, weights, drawings[:5])
    assert furthest(found, cae.reconstruct(model, drawings[:5])) > 100 * PICTURES


def test_maxima_are_found_where_keras_finds_them(lab, drawings):
    model, net = rebuilt("mirrored-argmax")
    pooling = model.get_layer("pooling_1")
    keras_side = keras.Model(model.input, [pooling.input, *pooling.output])
    maps, pooled, places = map(np.asarray, keras_side(drawings))
    found = ask(
        lab,
        """([net, weights, images]) => {
          const made = new Lab.Net(net).fill(Float32Array.from(weights));
          return images.map((image) => {
            made.forward(new Lab.Maps(28, 28, 1, Float32Array.from(image)));
            return Array.from(made.get("pooling_1").places);
          });
        }""",
        [
            net,
            flat(model.get_weights()),
            drawings.reshape(len(drawings), -1),
        ],
    )
    chosen = np.take_along_axis(maps.reshape(len(maps), -1), np.array(found), axis=1)
    np.testing.assert_allclose(chosen, pooled.reshape(chosen.shape), atol=PICTURES)
    assert np.mean(np.array(found) == places.reshape(chosen.shape)) > 0.99  # but for near-ties


@settings(max_examples=40)  # each is a new Keras layer
@given(
    kind=st.sampled_from(["convolution", "transposed convolution"]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    depth=st.integers(1, 5),
    filters=st.integers(1, 9),
    size=st.integers(1, 6),
    stride=st.integers(1, 3),
    bias=st.booleans(),
    activation=st.sampled_from(["linear", "relu", "leaky_relu", "sigmoid"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_convolutions_are_kerass(
    lab, kind, height, width, depth, filters, size, stride, bias, activation, seed
):
    plain = kind == "convolution"
    size = max(size, stride)  # else Keras' own two differ in what no window covers
    own = (filters, size, stride, "same")
    layer = (keras.layers.Conv2D if plain else keras.layers.Conv2DTranspose)(
        own[0] if plain else depth,
        *own[1:],
        use_bias=bias,
        activation=activation,
        data_format="channels_last",
    )
    generator = np.random.default_rng(seed)
    image = generator.normal(size=(1, height, width, depth if plain else filters))
    expected = layer(np.float32(image))
    weights = [generator.normal(size=weight.shape) for weight in layer.get_weights()]
    layer.set_weights(weights)
    expected = layer(np.float32(image))
    description = {
        "kind": kind,
        "name": "layer",
        "size": size,
        "depth": depth,
        "filters": filters,
        "stride": stride,
        "bias": bias,
        "activation": activation,
    }
    found = run(lab, {"layers": [description]}, layer.get_weights(), image)
    np.testing.assert_allclose(found, np.reshape(expected, found.shape), rtol=1e-4, atol=1e-4)


@settings(max_examples=40)
@given(
    kind=st.sampled_from(["max pooling", "zero-fill", "nearest"]),
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    channels=st.integers(1, 4),
    size=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_pooling_and_unpooling_are_kerass(lab, kind, rows, columns, channels, size, seed):
    pooling = kind == "max pooling"
    factor = size if pooling else 1
    shape = (1, rows * factor, columns * factor, channels)
    image = np.random.default_rng(seed).integers(-2, 3, shape)  # with ties
    layer = {
        "max pooling": keras.layers.MaxPooling2D,
        "zero-fill": cae.layers.ZeroFillUnpooling2D,
        "nearest": keras.layers.UpSampling2D,
    }[kind](size, data_format="channels_last")
    found = run(lab, {"layers": [{"kind": kind, "name": "layer", "size": size}]}, [], image)
    assert np.array_equal(found.ravel(), np.ravel(layer(np.float32(image))))


@settings(max_examples=40)
@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    channels=st.integers(1, 4),
    size=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_max_unpooling_puts_each_maximum_back(lab, rows, columns, channels, size, seed):
    image = np.random.default_rng(seed).integers(-2, 3, (1, rows * size, columns * size, channels))
    pooled, argmax = cae.layers.MaxPoolingWithArgmax2D(size, data_format="channels_last")(image)
    expected = cae.layers.MaxUnpooling2D(size, data_format="channels_last")([pooled, argmax])
    layers = [
        {"kind": "max pooling", "name": "pooling", "size": size},
        {"kind": "argmax", "name": "unpooling", "size": size, "pooling": "pooling"},
    ]
    found = run(lab, {"layers": layers}, [], image)
    assert np.array_equal(found.ravel(), np.ravel(expected))


@pytest.mark.parametrize(
    ("name", "floor"),
    [
        ("black", cae.floors.all_black),
        ("zero-fill", cae.floors.zero_fill),
        ("nearest", cae.floors.nearest),
        ("argmax", cae.floors.argmax),
    ],
)
def test_floor_of_one_drawing_is_the_packages(lab, drawings, name, floor):
    found = ask(
        lab,
        """([name, images]) => images.map((image) =>
          Lab.floors[name](new Lab.Maps(28, 28, 1, Float32Array.from(image))))""",
        [name, drawings.reshape(len(drawings), -1)],
    )
    expected = [floor(drawing[np.newaxis]) for drawing in drawings]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", RECIPES)
def test_net_comes_from_a_full_training_by_the_current_code(name):
    assert EXPORT["is_fresh"](name), "run `make lab`"


def test_page_loads_every_net_in_its_order():
    assert [name[5:] for name in PAGE["SCRIPTS"] if name.startswith("nets/")] == list(RECIPES)


def test_digits_are_the_packages(lab, digits):
    for name, split in (("test", digits.test), ("training", digits.train)):
        lab.add_script_tag(path=LAB / "digits" / f"{name}.js")
        labels = lab.evaluate(f"Lab.digits.{name}.labels")
        assert labels == "".join(map(str, split.labels[: len(labels)]))
        pixels = np.array(ask(lab, f"() => Array.from(Lab.bytes(Lab.digits.{name}.pixels))", None))
        expected = split.images[: len(labels)].ravel()
        np.testing.assert_array_equal(np.float32(pixels / 255), expected)


# The nets that can be trained in the page.
PAGE_TEXT = (ROOT / "book" / "laboratory.md").read_text()
FORM = re.search(r"<select name=\"net\">(.*?)</select>", PAGE_TEXT)
NETS = re.findall(r'value="(.*?)"', FORM[1])
SETTINGS = [
    *({"net": net} for net in NETS),
    {"net": "nearest", "output": "linear"},
    {"net": "nearest", "loss": "bce"},
    {"net": "strided", "hidden": "leaky_relu", "output": "logits", "outputBias": -1.9},
    {"net": "strided", "loss": "bce", "output": "logits", "decoderBias": True},
    {"net": "mirrored-nearest", "output": "logits", "loss": "bce", "rate": 0.001, "warmup": 5},
]


def complete(settings):
    """Return settings with the article's activations, width and rate where they have none."""
    own = "relu" if settings["net"] == "strided" else "sigmoid"
    plain = {"hidden": own, "output": own, "loss": "mse", "rate": 0.01, "warmup": 0}
    return plain | {"seed": 1, "width": 0.1} | settings


def in_keras(settings):
    """Return the Keras net of the page's settings, with the page's words for them."""
    options = {"hidden": settings["hidden"], "output": settings["output"]}
    options["decoder_bias"] = settings.get("decoderBias", False)
    options["output_bias"] = settings.get("outputBias")
    net = settings["net"]
    if net == "strided":
        return cae.strided_autoencoder(**options)
    order = "unpool-deconv" if net.startswith("mirrored") else "deconv-unpool"
    unpooling = net.removeprefix("mirrored-")
    return cae.unpooling_autoencoder(unpooling, decoder_order=order, **options)


def fill(model, row):
    """Give a Keras net all its weights in one row."""
    ends = np.cumsum([weight.size for weight in model.get_weights()])
    parts = np.split(np.float32(row), ends[:-1])
    model.set_weights(
        [part.reshape(weight.shape) for part, weight in zip(parts, model.weights, strict=True)]
    )


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda each: "-".join(map(str, each.values())))
def test_page_describes_a_net_as_the_package_builds_it(lab, settings):
    settings = complete(settings)
    found = ask(lab, "(settings) => Lab.describe(settings)", settings)
    assert found == EXPORT["describe"](in_keras(settings))


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda each: "-".join(map(str, each.values())))
def test_first_steps_of_training_are_those_of_the_package(lab, digits, settings):
    settings = complete(settings)
    images = digits.train.images[:200]
    weights, batches, losses = ask(
        lab,
        """([settings, images]) => {
          const description = Lab.describe(settings);
          const weights = Lab.firstWeights(description, settings);
          const net = new Lab.Net(description).fill(weights);
          const adam = new Lab.Adam(net.count, settings);
          const order = new Lab.Batches(images.length, 20, settings.seed);
          const maps = images.map((image) => new Lab.Maps(28, 28, 1, Float32Array.from(image)));
          const batches = [], losses = [];
          for (let step = 0; step < 10; step++) {
            batches.push(order.next());
            net.gradients.fill(0);
            const batch = batches.at(-1).map((i) => maps[i]);
            losses.push(Lab.share(net, settings.loss, batch, 20));
            adam.step(net.weights, net.gradients);
          }
          return [Array.from(weights), batches, losses];
        }""",
        [settings, images.reshape(len(images), -1)],
    )
    assert sorted(np.ravel(batches)) == list(range(200))  # one pass
    model = in_keras(settings)
    fill(model, weights)
    data = tf.data.Dataset.from_tensor_slices(images[np.array(batches)])
    run = cae.train(
        model,
        data,
        steps=10,
        loss=settings["loss"],
        learning_rate=settings["rate"],
        warmup_steps=settings["warmup"],
        progress=False,
    )
    np.testing.assert_allclose(losses, run.loss, rtol=1e-4)


def test_first_weights_are_truncated_normal(lab):
    description = EXPORT["describe"](cae.strided_autoencoder())
    kernels = [25 * 16, 25 * 16 * 32]
    found = lab.evaluate(
        "d => Array.from(Lab.firstWeights(d, {seed: 5, width: 0.1, outputBias: null}))",
        description,
    )
    second = np.array(found[kernels[0] + 16 : kernels[0] + 16 + kernels[1]])
    assert np.abs(second).max() <= 0.2
    assert second.mean() == pytest.approx(0, abs=0.003)
    assert second.std() == pytest.approx(0.088, abs=0.002)  # of ±2 standard deviations
    assert found[kernels[0] : kernels[0] + 16] == pytest.approx([0.1] * 16)


def test_workers_share_a_step_without_changing_it(lab):
    alone, shared, without_workers = lab.evaluate(
        """async () => {
          const settings = {net: "strided", hidden: "relu", output: "relu", loss: "mse", rate: 0.01,
                            warmup: 0, seed: 1, width: 0.1, outputBias: null};
          const pixels = Lab.bytes(Lab.digits.test.pixels);
          const losses = [];
          const itself = window.Worker;
          for (const count of [1, 3, 0]) {
            window.Worker = count ? itself : undefined;
            const crew = new Lab.Crew(count || 1);
            const run = new Lab.Run(settings, crew, pixels, 500);
            for (let step = 0; step < 3; step++) await run.step();
            losses.push(run.losses);
            crew.end();
          }
          window.Worker = itself;
          return losses;
        }"""
    )
    np.testing.assert_allclose(shared, alone, rtol=1e-6)
    np.testing.assert_allclose(without_workers, alone, rtol=1e-6)


@pytest.mark.parametrize("name", RECIPES)
def test_diagnosis_is_the_packages(lab, digits, name):
    model, net = rebuilt(name)
    images = digits.test.images[:200]
    found = ask(
        lab,
        """([net, pictures, images]) => {
          const maps = (all) => all.map((each) => new Lab.Maps(28, 28, 1, Float32Array.from(each)));
          return Lab.diagnose(net, maps(pictures), maps(images));
        }""",
        [
            net,
            cae.reconstruct(model, images).reshape(len(images), -1),
            images.reshape(len(images), -1),
        ],
    )
    expected = cae.diagnose(model, images)
    assert (found["verdict"], found["picture"]) == (expected.verdict, expected.picture)
    assert found["loss"] == pytest.approx(expected.loss, rel=1e-5)
    assert found["floor"] == pytest.approx(expected.floor, rel=1e-5)
    assert found["variation"] == pytest.approx(expected.variation, rel=1e-3, abs=1e-6)
    dead = [] if expected.dead_phases is None else expected.dead_phases.ravel().tolist()
    assert found["phases"] == dead


def test_known_losses_are_the_packages(lab, digits):
    found = lab.evaluate("Lab.known")
    sets = (digits.train.images, digits.test.images, digits.test.images[:100])
    for each, images in zip(found.values(), sets, strict=True):
        expected = EXPORT["known_losses_of"](images)
        assert each.keys() == expected.keys()
        for kind, losses in expected.items():
            assert each[kind] == pytest.approx(losses)


@pytest.mark.parametrize("kind", ["mse", "bce"])
def test_a_loss_is_diagnosed_as_by_the_package(lab, digits, kind):
    values = [0.0, 0.0164, 0.02, 0.0285, 0.06, 0.0674, 0.0858, 0.114, 0.21, 0.231, 0.2634, 0.337]
    values += [0.45, 0.6931, 0.72, 1.8, 13.2, 26.4, 52.8, 89.3, 114.0, 206.0, 7410.0, 1e5]
    images = digits.test.images[:50]
    found = ask(
        lab,
        """([values, known, kind]) =>
          values.map((value) => Lab.diagnoseLoss(value, known, kind))""",
        [values, EXPORT["known_losses_of"](images), kind],
    )
    for value, each in zip(values, found, strict=True):
        expected = cae.diagnosis.known.diagnose_loss(value, images, kind)
        assert (each["verdict"], each["scale"]) == (expected.verdict, expected.scale), value
        assert [name for name, _ in each["nearest"][:3]] == list(expected.known)[:3]


def looked_at(lab, name, image, places):
    """Return, of numbers (layer, row, column, map) of a net, what is said of each in the page."""
    model, net = rebuilt(name)
    return ask(
        lab,
        """([net, weights, image, places]) => {
          const made = new Lab.Net(net).fill(Float32Array.from(weights));
          made.forward(new Lab.Maps(28, 28, 1, Float32Array.from(image)));
          return places.map(([index, y, x, channel]) => {
            const layer = made.layers[index];
            const { maps, bias } = Lab.summed(layer, y, x, channel);
            const sum = maps.reduce((total, rows) => total + Lab.sumOf(rows), bias ?? 0);
            return [sum, layer.sums.values[layer.sums.index(y, x, channel)]];
          });
        }""",
        [
            net,
            flat(model.get_weights()),
            image.ravel(),
            places,
        ],
    )


@pytest.mark.parametrize("name", ["strided", "mirrored-argmax", "narrow"])
def test_products_add_up_to_the_number_that_they_explain(lab, drawings, name):
    random, places = np.random.default_rng(1), []
    for index, layer in enumerate(rebuilt(name)[0].layers[1:]):
        if layer.weights:
            shape = (1, 1, *layer.output.shape[1:])[-3:]
            corners = [(0, 0, 0), tuple(side - 1 for side in shape)]
            others = [tuple(random.integers(0, shape)) for _ in range(6)]
            places += [(index, *map(int, place)) for place in corners + others]
    for sum_of_products, number in looked_at(lab, name, drawings[0], places):
        assert sum_of_products == pytest.approx(number, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", RECIPES)
def test_receptive_field_holds_all_pixels_that_count(lab, name):
    """A new image that is the same within the field gives the same number."""
    model, net = rebuilt(name)
    worst, outside = ask(
        lab,
        """([net, weights]) => {
          const made = new Lab.Net(net).fill(Float32Array.from(weights));
          const random = Lab.generator(3);
          const first = new Lab.Maps(28, 28, 1).values.map(() => random());
          let worst = 0, outside = 0;
          made.forward(new Lab.Maps(28, 28, 1, first));
          const before = made.layers.map((layer) => layer.output);
          const fields = before.map((output, index) => {
            const [y, x] = [output.height, output.width].map((n) => Math.floor(n * random()));
            return { index, y, x, field: Lab.receptiveField(made, index, y, x) };
          });
          for (const { index, y, x, field } of fields) {
            const other = first.map((value, i) => {
              const [row, column] = [Math.floor(i / 28), i % 28];
              const inside = field && field.rows[0] <= row && row <= field.rows[1] &&
                field.columns[0] <= column && column <= field.columns[1];
              outside += !inside;
              return inside ? value : random();
            });
            made.forward(new Lab.Maps(28, 28, 1, other));
            const { output } = made.layers[index];
            for (let channel = 0; channel < output.channels; channel++) {
              const place = output.index(y, x, channel);
              worst = Math.max(worst, Math.abs(output.values[place] - before[index].values[place]));
            }
          }
          return [worst, outside];
        }""",
        [net, flat(model.get_weights())],
    )
    assert worst < 1e-6
    assert outside > 500


def test_receptive_field_is_no_larger_than_the_strided_nets(lab):
    """Of a linear net, each border row and column of the field has a derivative."""
    found = lab.evaluate(
        """() => {
          const settings = { net: "strided", hidden: "leaky_relu", output: "linear" };
          const description = Lab.describe(settings);
          for (const layer of description.layers) layer.activation = "linear";
          const weights = Lab.firstWeights(description, { seed: 1, width: 0.1 });
          const net = new Lab.Net(description).fill(weights);
          const at = (values) => net.forward(new Lab.Maps(28, 28, 1, values)).values[15 * 28 + 12];
          const still = at(new Float32Array(784));
          const rows = [], columns = [];
          for (let i = 0; i < 784; i++) {
            const one = new Float32Array(784);
            one[i] = 1;
            if (Math.abs(at(one) - still) < 1e-6) continue;
            rows.push(Math.floor(i / 28));
            columns.push(i % 28);
          }
          const span = (all) => [Math.min(...all), Math.max(...all)];
          net.forward(new Lab.Maps(28, 28, 1));
          const field = Lab.receptiveField(net, 3, 15, 12);
          return [[span(rows), span(columns)], [field.rows, field.columns]];
        }"""
    )
    assert found[0] == found[1]


def test_black_phases_cost_their_share(lab, digits):
    model, net = rebuilt("strided")
    images = digits.test.images[:100]
    found = ask(
        lab,
        """([net, weights, images]) => {
          const made = new Lab.Net(net).fill(Float32Array.from(weights));
          made.black = new Set([0, 6, 9]);
          return images.map((image) =>
            Array.from(made.picture(new Lab.Maps(28, 28, 1, Float32Array.from(image))).values));
        }""",
        [
            net,
            flat(model.get_weights()),
            images.reshape(len(images), -1),
        ],
    )
    expected = np.array(cae.reconstruct(model, images))
    for row, column in ((0, 0), (1, 2), (2, 1)):
        expected[:, row::4, column::4] = 0
    assert furthest(np.array(found), expected) < PICTURES
    share = np.mean((np.array(found).reshape(images.shape) - images) ** 2)
    assert share == pytest.approx(3 / 16 * cae.floors.all_black(images), rel=0.15)


def test_switched_places_go_where_they_should(lab, drawings):
    """With all maxima in the corners, the net draws what the one with zero-fill draws."""
    model, net = rebuilt("mirrored-argmax")
    weights = flat(model.get_weights())
    corner, own, shuffled, other = (
        np.array(each)
        for each in ask(
            lab,
            """([net, weights, image, another]) => {
              const made = new Lab.Net(net).fill(Float32Array.from(weights));
              const maps = (values) => new Lab.Maps(28, 28, 1, Float32Array.from(values));
              const drawn = (elsewhere) => {
                made.elsewhere = elsewhere;
                return Array.from(made.picture(maps(image)).values);
              };
              return [
                drawn(Lab.places.corner()), drawn(Lab.places.of(made, maps(image))),
                drawn(Lab.places.shuffled()), drawn(Lab.places.of(made, maps(another))),
              ];
            }""",
            [net, weights, drawings[0].ravel(), drawings[1].ravel()],
        )
    )
    mirror = {"decoder_order": "unpool-deconv"}
    zero_fill = cae.unpooling_autoencoder("zero-fill", **mirror)
    zero_fill.set_weights(model.get_weights())
    assert furthest(corner, cae.reconstruct(zero_fill, drawings[:1])) < PICTURES
    usual = cae.reconstruct(model, drawings[:1]).ravel()
    assert furthest(own, usual) < PICTURES
    assert all(furthest(each, usual) > 0.1 for each in (shuffled, other))


def test_a_step_of_training_and_all_answers_are_fast_enough(lab):
    """A guard against growing ten times slower, not a measurement."""
    answers, step = ask(
        lab,
        """async (nets) => {
          const image = new Lab.Maps(28, 28, 1).values.fill(0.5);
          let start = performance.now();
          for (const net of nets) new Lab.Net(net).picture(new Lab.Maps(28, 28, 1, image));
          const answers = performance.now() - start;
          const crew = new Lab.Crew();
          const settings = {net: "nearest", hidden: "sigmoid", output: "sigmoid", loss: "mse",
                            rate: 0.01, warmup: 0, seed: 1, width: 0.1, outputBias: null};
          const run = new Lab.Run(settings, crew, Lab.bytes(Lab.digits.test.pixels), 500);
          await run.step();
          start = performance.now();
          await run.step();
          const step = performance.now() - start;
          crew.end();
          return [answers / 1000, step / 1000];
        }""",
        [{"layers": EXPORT["read"](name)["layers"]} for name in RECIPES],
    )
    assert answers < 5
    assert step < 20
