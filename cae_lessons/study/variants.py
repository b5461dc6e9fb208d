"""What the study runs: a grid of variants, each with several seeds."""

import fnmatch
from typing import Any

from cae_lessons.runs import ARTICLE_STEPS

SEEDS = 8  # of most variants; to measure a rate takes more
MORE_SEEDS = {
    "nearest/sigmoid-sigmoid/250-steps": 100,
    "strided/relu-relu/400-steps": 64,
    "nearest/sigmoid-sigmoid/5000-steps": 32,
}
SHORT_STEPS = 200  # a net that collapses does so in the first 20
MEAN_PIXEL_LOGIT = -1.9
ARTICLE = {
    "decoder_bias": False,
    "output_bias": None,
    "batch_normalization": None,
    "initializer": "truncated_normal",
    "stddev": 0.1,
    "learning_rate": 0.01,
    "warmup_steps": 0,
    "clip_norm": None,
    "code_size": None,
    "code_channels": None,
    "noise": None,
    "clip_noise": True,
    "left_out": None,
    "train_images": None,
    "steps": SHORT_STEPS,
}
NETS = {
    "strided": {"hidden": "relu", "output": "relu"},
    "zero-fill": {"hidden": "sigmoid", "output": "sigmoid"},
    "nearest": {"hidden": "sigmoid", "output": "sigmoid"},
    "mirrored-zero-fill": {"hidden": "sigmoid", "output": "sigmoid"},
    "mirrored-nearest": {"hidden": "sigmoid", "output": "sigmoid"},
    "mirrored-argmax": {"hidden": "sigmoid", "output": "sigmoid"},
}
LATER_NETS = {  # of the part "What it is for"
    "narrow": {"hidden": "relu", "output": "sigmoid"},
    "residual": {"hidden": "relu", "output": "linear"},
}
CODE_SIZES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 784)
CODE_CHANNELS = (1, 2, 4, 8)
TODAY = {"decoder_bias": True, "initializer": "glorot_uniform", "learning_rate": 0.001}


def variant(net: str, **settings: Any) -> dict[str, Any]:
    """Return a variant's settings: the article's, except for those given.

    Parameters
    ----------
    net : str
        One of `NETS`, the article's and their mirrors, or of `LATER_NETS`.
    **settings
        `hidden`, `output` (also `"relu-as-logits"`, a relu handed to the cross-entropy as
        logits), `decoder_bias`, `output_bias`, `batch_normalization` (`"hidden"` or `"all"`: of
        the decoder's layers, before their activations), `initializer`, `stddev`, `learning_rate`,
        `warmup_steps`, `clip_norm` (of all gradients together), `code_size` or `code_channels` (of
        the narrow net), `noise` (the deviation of normal noise on the images, with the clean ones
        as targets), `clip_noise` (whether noisy pixels are moved into [0, 1]), `left_out` (a digit
        that the net isn't trained on), `train_images` (how many, the first ones; all if None),
        `steps`.

    Returns
    -------
    dict
        The settings, and the variant's name, which says what differs from the article.

    Raises
    ------
    ValueError
        The net, or a setting, isn't one of these, or clip_norm is given with warmup_steps or
        logits.

    Examples
    --------
    >>> variant("nearest", learning_rate=0.001)["variant"]
    'nearest/sigmoid-sigmoid/rate-0.001/200-steps'
    """
    nets = NETS | LATER_NETS
    if net not in nets:
        raise ValueError(f"net must be one of {', '.join(nets)}, got {net!r}")
    chosen = {"net": net, **ARTICLE, **nets[net]}
    if unknown := sorted(settings.keys() - chosen.keys()):
        raise ValueError(f"settings must be among {', '.join(chosen)}, got {', '.join(unknown)}")
    chosen |= settings
    if chosen["clip_norm"] and (chosen["warmup_steps"] or "logits" in chosen["output"]):
        raise ValueError("clip_norm works with neither warmup_steps nor logits")
    if chosen["clip_norm"] and chosen["noise"]:
        raise ValueError("clip_norm doesn't work with noise")
    if chosen["initializer"] != "truncated_normal":
        chosen["stddev"] = None
    return {"variant": _name(chosen), **chosen}


def grid() -> list[dict[str, Any]]:
    """Return the study's variants, each once, in the order in which they run.

    Returns
    -------
    list of dict
        As `variant` returns them.

    Examples
    --------
    >>> grid()[0]["variant"]
    'nearest/sigmoid-sigmoid/200-steps'
    """
    heads = [(h, o) for h in ("sigmoid", "relu") for o in ("sigmoid", "relu", "linear", "logits")]
    today = {"hidden": "relu", "output": "logits", "decoder_bias": True, "learning_rate": 0.001}
    variants = [
        *(variant("nearest", hidden=h, output=o) for h, o in heads),
        variant("nearest", decoder_bias=True),
        variant("nearest", hidden="relu", output="relu", decoder_bias=True),
        variant("nearest", hidden="relu", output="relu-as-logits"),
        *_settings_that_may_rescue("sigmoid", "sigmoid"),
        *_settings_that_may_rescue("relu", "relu"),
        variant("strided", steps=ARTICLE_STEPS),
        variant("zero-fill", steps=ARTICLE_STEPS),
        *(variant("strided", hidden=h, output=o) for h, o in heads),
        *(variant("mirrored-nearest", hidden=h, output=o) for h, o in heads),
        *(
            variant(f"mirrored-{unpooling}", hidden=h, output=o)
            for unpooling in ("zero-fill", "argmax")
            for h, o in (("sigmoid", "sigmoid"), ("relu", "linear"), ("relu", "logits"))
        ),
        # No logits here: a logit that zero-fill sets to 0 is a grey pixel.
        *(variant("zero-fill", hidden=h, output=o) for h, o in heads if o != "logits"),
        variant("mirrored-nearest", **today, initializer="glorot_uniform", steps=1000),
        variant("mirrored-nearest", **today, initializer="he_normal", steps=1000),
        variant("nearest", hidden="relu", output="relu", steps=ARTICLE_STEPS),
        variant("nearest", steps=250),
        variant("strided", steps=400),
        *_remedies(),
        *_reader_b(),
        *_encoders(),
        *_from_the_article_to_today(),
        *_narrow_codes(),
        *_denoisers(),
        *_without_a_digit(),
        *_few_images(),
        variant("nearest", steps=ARTICLE_STEPS),
    ]
    return list({each["variant"]: each for each in variants}.values())


def seeds_of(name: str) -> int:
    """Return how many seeds the study gives a variant.

    Parameters
    ----------
    name : str
        The variant's.

    Returns
    -------
    int

    Examples
    --------
    >>> seeds_of("nearest/sigmoid-sigmoid/250-steps"), seeds_of("nearest/relu-relu/200-steps")
    (100, 8)
    """
    return MORE_SEEDS.get(name, SEEDS)


def tasks(
    only: str = "*", seeds: int | None = None, steps: int | None = None
) -> list[dict[str, Any]]:
    """Return the runs of the grid: each variant's settings with each of its seeds.

    Parameters
    ----------
    only : str
        A shell pattern (`*`, `?`, `[…]`) for the variants' names.
    seeds : int, optional
        How many seeds each variant gets, from 0; by default as many as `seeds_of` says.
    steps : int, optional
        Instead of the grid's own.

    Returns
    -------
    list of dict

    Raises
    ------
    ValueError
        No variant's name matches the pattern.

    Examples
    --------
    >>> [task["seed"] for task in tasks("zero-fill/*/5000-steps", seeds=2)]
    [0, 1]
    """
    chosen = [each for each in grid() if fnmatch.fnmatchcase(each["variant"], only)]
    if not chosen:
        raise ValueError(f"no variant's name matches {only!r}: --list shows the names")
    if steps is not None:
        renamed = [_with_steps(each, steps) for each in chosen]
        chosen = list({each["variant"]: each for each in renamed}.values())
    return [
        {**each, "seed": seed}
        for each in chosen
        for seed in range(seeds or seeds_of(each["variant"]))
    ]


def _with_steps(settings, steps):
    return variant(**{k: v for k, v in settings.items() if k != "variant"} | {"steps": steps})


def _name(chosen):
    """Return a variant's name: its net and activations, and what differs from the article."""
    parts = [chosen["net"], f"{chosen['hidden']}-{chosen['output']}"]
    parts += _parts_of_model(chosen) + _parts_of_training(chosen)
    return "/".join([*parts, f"{chosen['steps']}-steps"])


def _parts_of_model(chosen):
    parts = []
    if chosen["code_size"] is not None:
        parts.append(f"code-{chosen['code_size']}")
    if chosen["code_channels"] is not None:
        parts.append(f"code-7x7x{chosen['code_channels']}")
    if chosen["decoder_bias"]:
        parts.append("bias")
    if chosen["output_bias"] is not None:
        parts.append(f"output-bias{chosen['output_bias']:+g}")
    if chosen["batch_normalization"]:
        parts.append(f"batch-norm-{chosen['batch_normalization']}")
    if chosen["initializer"] != "truncated_normal":
        parts.append(chosen["initializer"])
    elif chosen["stddev"] != ARTICLE["stddev"]:
        parts.append(f"std-{chosen['stddev']:g}")
    return parts


def _parts_of_training(chosen):
    parts = []
    if chosen["learning_rate"] != ARTICLE["learning_rate"]:
        parts.append(f"rate-{chosen['learning_rate']:g}")
    if chosen["warmup_steps"]:
        parts.append(f"warm-up-{chosen['warmup_steps']}")
    if chosen["clip_norm"]:
        parts.append(f"clip-{chosen['clip_norm']:g}")
    if chosen["noise"]:
        parts.append(f"noise-{chosen['noise']:g}")
    if not chosen["clip_noise"]:
        parts.append("unclipped")
    if chosen["left_out"] is not None:
        parts.append(f"without-{chosen['left_out']}")
    if chosen["train_images"]:
        parts.append(f"{chosen['train_images']}-images")
    return parts


def _settings_that_may_rescue(hidden, output):
    """Return the nearest net with several learning rates and widths of the initial weights."""
    return [
        variant("nearest", hidden=hidden, output=output, learning_rate=rate, stddev=stddev)
        for rate in (0.01, 0.003, 0.001)
        for stddev in (0.1, 0.05, 0.02)
    ]


def _remedies():
    """Return the nearest net at the article's own rate, with one remedy at a time."""
    changes = [
        {},
        {"warmup_steps": 100},
        {"output_bias": MEAN_PIXEL_LOGIT},
        {"hidden": "leaky_relu", "output": "leaky_relu"},
        {"hidden": "relu", "output": "leaky_relu"},
        {"clip_norm": 0.1},
        {"batch_normalization": "hidden"},
        {"batch_normalization": "all"},
        {"initializer": "glorot_uniform"},
        {"initializer": "he_normal"},
    ]
    return [variant("nearest", **change, steps=1000) for change in changes]


def _reader_b():
    """Return reader B's advice, step by step: no last sigmoid, then biases, then unpool first."""
    return [
        variant(net, output="linear", decoder_bias=bias, steps=1000)
        for net in ("nearest", "mirrored-nearest")
        for bias in (False, True)
    ]


def _encoders():
    """Return encoders with strides and with pooling, in front of the same decoder."""
    return [
        variant(net, hidden=each, output=each, learning_rate=0.001, steps=1000)
        for net in ("strided", "mirrored-zero-fill")
        for each in ("relu", "sigmoid")
    ]


def _from_the_article_to_today():
    """Return the strided net with one change after another, and today's mirrored nets."""
    relus = {"hidden": "relu", "learning_rate": 0.001, "steps": ARTICLE_STEPS}
    glorot = {**relus, "initializer": "glorot_uniform"}
    return [
        variant("strided", **relus),
        variant("strided", **glorot),
        variant("strided", **glorot, decoder_bias=True),
        variant("strided", **glorot, decoder_bias=True, output="linear"),
        variant("strided", **glorot, decoder_bias=True, output="logits"),
        variant("mirrored-nearest", **glorot, decoder_bias=True, output="linear"),
        variant("mirrored-nearest", **glorot, decoder_bias=True, output="logits"),
    ]


def _narrow_codes():
    """Return narrow nets with codes of numbers, and with codes of maps."""
    sizes = [{"code_size": size} for size in CODE_SIZES]
    channels = [{"code_channels": count} for count in CODE_CHANNELS]
    return [
        *(variant("narrow", **TODAY, **code, steps=2000) for code in sizes + channels),
        # Behind relus, a sigmoid output is thrown in most of the nets with codes of maps.
        *(variant("narrow", **TODAY, **code, output="linear", steps=2000) for code in channels),
    ]


def _denoisers():
    """Return the book's nets with noise on their images, all with today's settings."""
    healthy = {**TODAY, "hidden": "relu", "output": "linear", "steps": 1000}
    return [
        *(variant(net, **healthy, noise=0.4) for net in NETS),
        variant("narrow", **healthy, code_size=32, noise=0.4),
        variant("residual", **healthy, noise=0.4),
        variant("strided", **healthy, noise=0.4, clip_noise=False),
        *(
            variant(net, **healthy, noise=deviation)
            for net in ("strided", "mirrored-argmax")
            for deviation in (0.2, 0.5)
        ),
    ]


def _without_a_digit():
    """Return a narrow and a wide net that never see one of the digits."""
    healthy = {**TODAY, "hidden": "relu", "output": "linear", "steps": 500}
    return [
        variant(net, **healthy, **code, left_out=digit)
        for net, code in (("narrow", {"code_size": 32}), ("strided", {}))
        for digit in range(10)
    ]


def _few_images():
    """Return narrow nets and a net with maps on 500 images, stopped early and late."""
    nets = [("narrow", {"code_size": 8}), ("narrow", {"code_size": 256}), ("strided", {})]
    return [
        variant(net, **TODAY, **code, train_images=500, steps=steps)
        for net, code in nets
        for steps in (900, 1500)
    ]
