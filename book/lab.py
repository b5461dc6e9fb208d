"""Write what the laboratory's page needs: trained nets and digits, as scripts that it can load.

    python book/lab.py              what is missing or stale
    python book/lab.py nearest      the nets with these names

Each net is stamped with a fingerprint of its recipe and of the code that trained it, so that a
test can tell nets that have gone stale.  Weights stay float32: with float16 the pixels of the
argmax net would move by 0.1.
"""

import base64
import hashlib
import json
import re
import runpy
import sys
from pathlib import Path

import nbformat
import numpy as np

import cae_lessons as cae
from cae_lessons.diagnosis.known import known_losses

BOOK = Path(__file__).parent
LAB = BOOK / "_static" / "lab"
TEST_DIGITS, TRAINING_DIGITS = 500, 2_000
ARTICLE = {"steps": 5_000, "learning_rate": 0.01}
GENTLE = {
    "steps": 1_000,
    "learning_rate": 0.001,
}  # as the chapter on the mirror trains
MIRROR = {"decoder_order": "unpool-deconv"}
JUDGED = 100  # test digits on which the page judges a net that it trains

# In the order in which the page shows them.  A net without an unpooling is the strided one.
RECIPES = {
    "strided": {
        "title": "Strided",
        "about": "the article's first net, whose last layer can draw everything",
        "chapter": "02_strided_autoencoder",
        "seed": 0,
        "training": ARTICLE,
    },
    "zero-fill": {
        "title": "Zero-fill",
        "about": "the article's second net: three of four pixels stay black",
        "chapter": "05_zero_fill_unpooling",
        "unpooling": "zero-fill",
        "floor": "zero-fill",
        "seed": 0,
        "training": ARTICLE,
    },
    "nearest": {
        "title": "Nearest",
        "about": "the article's third net: each block of 2 × 2 pixels has one grey",
        "chapter": "06_nearest_resize_unpooling",
        "unpooling": "nearest",
        "floor": "nearest",
        "seed": 3,
        "training": ARTICLE,
    },
    "mirrored-nearest": {
        "title": "Mirrored, nearest",
        "about": "a transposed convolution comes last and smooths the blocks",
        "chapter": "07_mirrored_decoder",
        "unpooling": "nearest",
        "options": MIRROR,
        "seed": 0,
        "training": GENTLE,
    },
    "mirrored-argmax": {
        "title": "Mirrored, argmax",
        "about": "each value goes back to where the maximum was; the places bypass the code",
        "chapter": "07_mirrored_decoder",
        "unpooling": "argmax",
        "options": MIRROR,
        "seed": 0,
        "training": GENTLE,
    },
    "collapsed": {
        "title": "Nearest, collapsed",
        "about": "the third net again, from other first weights: black, whatever you draw",
        "chapter": "09_why_training_collapses",
        "unpooling": "nearest",
        "floor": "nearest",
        "seed": 0,
        "training": ARTICLE | {"steps": 200},
    },
    "dead-phases": {
        "title": "Strided, dead phases",
        "about": "the first net from other first weights: 4 of its 16 output phases stay black",
        "chapter": "03_dead_phases",
        "seed": 3,
        "training": ARTICLE,
    },
    "narrow": {
        "title": "Narrow, two numbers",
        "about": "the whole code is two numbers, where the other nets have 1,568",
        "code_size": 2,
        "seed": 0,
        "training": {"steps": 2_000, "learning_rate": 0.001},
    },
    "denoiser": {
        "title": "Denoiser",
        "about": "a strided net that got noisy digits and had to draw the clean ones",
        "options": {
            "output": "linear",
            "decoder_bias": True,
            "kernel_initializer": "glorot_uniform",
        },
        "noise": 0.4,
        "seed": 0,
        "training": {"steps": 2_000, "learning_rate": 0.001},
    },
}


def build(recipe):
    """Return a recipe's net, untrained."""
    options = {"seed": recipe["seed"], **recipe.get("options", {})}
    if "unpooling" in recipe:
        return cae.unpooling_autoencoder(recipe["unpooling"], **options)
    if "code_size" in recipe:
        return cae.narrow_autoencoder(recipe["code_size"], **options)
    return cae.strided_autoencoder(**options)


def steps_of(recipe):
    """Return how long a recipe trains: shorter where the tests' step budget is."""
    return min(recipe["training"]["steps"], cae.training.STEPS)


def train(recipe):
    """Return a recipe's net, trained as its chapter trains it."""
    model = build(recipe)
    images = noisy = cae.load_mnist().train.images
    if "noise" in recipe:
        noisy = cae.noise.gaussian(
            images, recipe["noise"], seed=recipe["seed"]
        )
    cae.train(
        model,
        noisy,
        images,
        seed=recipe["seed"],
        **recipe["training"] | {"steps": steps_of(recipe)},
    )
    return model


def describe(model):
    """Return a model's layers as the page's scripts want them."""
    return {
        "layers": [_layer(layer) for layer in model.layers[1:]],
        "logits": cae.models.gives_logits(model),
    }


def _layer(layer):
    own = {"name": layer.name}
    match type(layer).__name__:
        case "Conv2D":
            size, _, depth, filters = layer.kernel.shape
            own |= {
                "kind": "convolution",
                "size": size,
                "depth": depth,
                "filters": filters,
            }
        case "Conv2DTranspose":
            size, _, depth, filters = layer.kernel.shape
            own |= {
                "kind": "transposed convolution",
                "size": size,
                "depth": depth,
            }
            own |= {"filters": filters}
        case "Dense":  # a convolution over one pixel
            depth, filters = layer.kernel.shape
            own |= {
                "kind": "convolution",
                "size": 1,
                "depth": depth,
                "filters": filters,
            }
        case "Flatten" | "Reshape":
            shape = layer.output.shape[1:]
            height, width, channels = (1,) * (3 - len(shape)) + shape
            return own | {
                "kind": "reshape",
                "height": height,
                "width": width,
                "channels": channels,
            }
        case "MaxPooling2D" | "MaxPoolingWithArgmax2D":
            return own | {"kind": "max pooling", "size": layer.pool_size[0]}
        case "ZeroFillUnpooling2D":
            return own | {"kind": "zero-fill", "size": layer.pool_size[0]}
        case "UpSampling2D":
            return own | {"kind": "nearest", "size": layer.size[0]}
        case "MaxUnpooling2D":
            pooling = layer.input[1]._keras_history.operation.name
            return own | {
                "kind": "argmax",
                "size": layer.pool_size[0],
                "pooling": pooling,
            }
        case other:
            raise ValueError(
                f"the laboratory has no layer like {layer.name}, a {other}"
            )
    activation = layer.activation.__name__
    return own | {
        "stride": getattr(layer, "strides", (1,))[0],
        "bias": layer.use_bias,
        "activation": activation,
    }


def fingerprint(recipe):
    """Return a digest of a recipe and of the package's code that builds and trains its net."""
    execute = runpy.run_path(str(BOOK / "execute.py"), run_name="execute")
    code = "cae.load_mnist, cae.strided_autoencoder, cae.unpooling_autoencoder, cae.train"
    if "noise" in recipe:
        code += ", cae.noise.gaussian"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(code)]
    )
    told = {"title", "about", "chapter", "floor"}  # on the page only
    made = {
        name: value for name, value in recipe.items() if name not in told
    }
    text = json.dumps(made, sort_keys=True) + execute["fingerprint"](
        notebook
    )
    return hashlib.sha256(text.encode()).hexdigest()


def path_of(name):
    """Return the file of a net."""
    return LAB / "nets" / f"{name}.js"


def read(name):
    """Return what a net's file hands to the page, None where there is no such file."""
    path = path_of(name)
    if not path.exists():
        return None
    return json.loads(
        re.search(r"^Lab\.nets\.push\((.*)\);$", path.read_text(), re.M)[1]
    )


def weights_of(net):
    """Return the weights in a net's file, as `model.get_weights()` orders them, in one row."""
    return np.frombuffer(base64.b64decode(net["weights"]), np.float32)


def write_net(name, model):
    """Write a net's file."""
    recipe = RECIPES[name]
    told = {key: recipe.get(key) for key in ("title", "about", "chapter")}
    weights = np.concatenate(
        [weight.ravel() for weight in model.get_weights()]
    )
    test = cae.load_mnist().test.images
    content = {
        "name": name,
        **told,
        "floor": recipe.get("floor", "none"),
        "seed": recipe["seed"],
        "steps": steps_of(recipe),
        "fingerprint": fingerprint(recipe),
        "loss": cae.mean_squared_error(model, test),
        **describe(model),
        "weights": _text(weights.astype("<f4")),
    }
    _write(
        path_of(name),
        f"Lab.nets.push({json.dumps(content, ensure_ascii=False)});",
    )


def write_digits():
    """Write the first digits of the test set and of the training set."""
    digits = cae.load_mnist()
    for name, split, count in (
        ("test", digits.test, TEST_DIGITS),
        ("training", digits.train, TRAINING_DIGITS),
    ):
        pixels = np.round(split.images[:count] * 255).astype(np.uint8)
        content = {
            "pixels": _text(pixels),
            "labels": "".join(map(str, split.labels[:count])),
        }
        path = LAB / "digits" / f"{name}.js"
        _write(path, f"Lab.digits.{name} = {json.dumps(content)};")


def write_known():
    """Write the losses of pictures that need no net, for the box that takes a loss."""
    digits = cae.load_mnist()
    images = {
        "MNIST, training digits": digits.train.images,
        "MNIST, test digits": digits.test.images,
        "this page’s 100 test digits": digits.test.images[:JUDGED],
    }
    content = {name: known_losses_of(some) for name, some in images.items()}
    _write(
        LAB / "known.js",
        f"Lab.known = {json.dumps(content, ensure_ascii=False)};",
    )


def known_losses_of(images):
    """Return the losses of both kinds that `cae.diagnose` compares a number with."""
    return {loss: known_losses(images, loss) for loss in ("mse", "bce")}


def _text(array):
    return base64.b64encode(array.tobytes()).decode()


def _write(path, statement):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'"use strict";\n// Written by `make lab`.\n{statement}\n'
    )


def is_fresh(name):
    """Tell whether a net's file comes from a full training by the code as it is."""
    net = read(name)
    recipe = RECIPES[name]
    return (
        net is not None
        and net["steps"] == recipe["training"]["steps"]
        and net["fingerprint"] == fingerprint(recipe)
    )


def main(names):
    """Train and write the nets of these names, or all that are missing or stale; and the rest."""
    if unknown := set(names) - set(RECIPES):
        sys.exit(
            f"no net is named {', '.join(unknown)}: there are {', '.join(RECIPES)}"
        )
    write_digits()
    write_known()
    for name in names or RECIPES:
        if names or not is_fresh(name):
            print(f"{name} … ", end="", flush=True)
            write_net(name, train(RECIPES[name]))
            print(f"test loss {read(name)['loss']:.6f}")


if __name__ == "__main__":
    main(sys.argv[1:])
