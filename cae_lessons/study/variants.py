"""What the study runs: its grid of variants, each with a number of seeds."""

import fnmatch
from typing import Any

from cae_lessons.runs import ARTICLE_STEPS

SEEDS = 8
SHORT_STEPS = 200  # what throws a net happens in the first 20
ARTICLE = {
    "decoder_bias": False,
    "initializer": "truncated_normal",
    "stddev": 0.1,
    "learning_rate": 0.01,
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


def variant(net: str, **settings: Any) -> dict[str, Any]:
    """Return a variant's settings: the article's, but for those given.

    Parameters
    ----------
    net : str
        One of `NETS`.
    **settings
        `hidden`, `output` (also `"relu-as-logits"`, a relu handed to the cross-entropy as
        logits), `decoder_bias`, `initializer`, `stddev`, `learning_rate`, `steps`.

    Returns
    -------
    dict
        With the variant's name, which says what differs from the article.

    Raises
    ------
    ValueError
        The net, or a setting, isn't one of these.

    Examples
    --------
    >>> variant("nearest", learning_rate=0.001)["variant"]
    'nearest/sigmoid-sigmoid/rate-0.001/200-steps'
    """
    if net not in NETS:
        raise ValueError(f"net must be one of {', '.join(NETS)}, got {net!r}")
    chosen = {"net": net, **ARTICLE, **NETS[net]}
    if unknown := sorted(settings.keys() - chosen.keys()):
        raise ValueError(f"settings must be among {', '.join(chosen)}, got {', '.join(unknown)}")
    chosen |= settings
    if chosen["initializer"] != "truncated_normal":
        chosen["stddev"] = None
    parts = [net, f"{chosen['hidden']}-{chosen['output']}"]
    parts += ["bias"] * chosen["decoder_bias"]
    if chosen["initializer"] != "truncated_normal":
        parts.append(chosen["initializer"])
    elif chosen["stddev"] != ARTICLE["stddev"]:
        parts.append(f"std-{chosen['stddev']:g}")
    if chosen["learning_rate"] != ARTICLE["learning_rate"]:
        parts.append(f"rate-{chosen['learning_rate']:g}")
    parts.append(f"{chosen['steps']}-steps")
    return {"variant": "/".join(parts), **chosen}


def grid() -> list[dict[str, Any]]:
    """Return the study's variants, each once, in the order in which they run.

    Returns
    -------
    list of dict
        As `variant` gives them.

    Examples
    --------
    >>> grid()[0]["variant"]
    'nearest/sigmoid-sigmoid/200-steps'
    """
    heads = [(h, o) for h in ("sigmoid", "relu") for o in ("sigmoid", "relu", "linear", "logits")]
    today = {"hidden": "relu", "output": "logits", "decoder_bias": True, "learning_rate": 0.001}
    squared = {**today, "output": "linear"}
    variants = [
        *(variant("nearest", hidden=h, output=o) for h, o in heads),
        variant("nearest", decoder_bias=True),
        variant("nearest", hidden="relu", output="relu", decoder_bias=True),
        variant("nearest", hidden="relu", output="relu-as-logits"),
        *_settings_that_may_rescue("sigmoid", "sigmoid"),
        *_settings_that_may_rescue("relu", "relu"),
        variant("strided", steps=ARTICLE_STEPS),
        variant("nearest", steps=ARTICLE_STEPS),
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
        variant("strided", **today, initializer="glorot_uniform", steps=ARTICLE_STEPS),
        variant("strided", **squared, initializer="glorot_uniform", steps=ARTICLE_STEPS),
        variant("mirrored-nearest", **today, initializer="he_normal", steps=1000),
        variant("nearest", hidden="relu", output="relu", steps=ARTICLE_STEPS),
    ]
    return list({each["variant"]: each for each in variants}.values())


def tasks(only: str = "*", seeds: int = SEEDS, steps: int | None = None) -> list[dict[str, Any]]:
    """Return the runs of the grid: a variant's settings with a seed, each.

    Parameters
    ----------
    only : str
        A shell pattern (`*`, `?`, `[…]`) for the variants' names.
    seeds : int
        How many seeds, from 0.
    steps : int, optional
        Instead of the grid's own.

    Returns
    -------
    list of dict

    Raises
    ------
    ValueError
        No variant's name fits the pattern.

    Examples
    --------
    >>> [task["seed"] for task in tasks("zero-fill/*/5000-steps", seeds=2)]
    [0, 1]
    """
    chosen = [each for each in grid() if fnmatch.fnmatchcase(each["variant"], only)]
    if not chosen:
        raise ValueError(f"no variant's name fits {only!r}: --list shows them")
    if steps is not None:
        renamed = [_with_steps(each, steps) for each in chosen]
        chosen = list({each["variant"]: each for each in renamed}.values())
    return [{**each, "seed": seed} for each in chosen for seed in range(seeds)]


def _with_steps(settings, steps):
    return variant(**{k: v for k, v in settings.items() if k != "variant"} | {"steps": steps})


def _settings_that_may_rescue(hidden, output):
    """Return the nearest net with every learning rate and every width of its first weights."""
    return [
        variant("nearest", hidden=hidden, output=output, learning_rate=rate, stddev=stddev)
        for rate in (0.01, 0.003, 0.001)
        for stddev in (0.1, 0.05, 0.02)
    ]
