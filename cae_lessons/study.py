"""Many runs, variants × seeds, on Dask: `python -m cae_lessons.study --help`."""

import argparse
import contextlib
import fnmatch
import functools
import importlib.metadata
import json
import math
import platform
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

try:
    import locket
    import pandas as pd
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"cae.study needs {error.name}, one of the packages that the extra [study] installs"
    ) from None

from cae_lessons import diagnosis, floors
from cae_lessons.mnist import load_mnist
from cae_lessons.models import strided_autoencoder, unpooling_autoencoder
from cae_lessons.training import (
    ARTICLE_STEPS,
    TrainingRun,
    mean_squared_error,
    train,
    write_whole,
)

RECORDS = Path(__file__).with_name("study_records.jsonl")
SEEDS = 8
SHORT_STEPS = 200  # what throws a net happens in the first 20
CURVE_POINTS = 60
DIAGNOSED_IMAGES = 500
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
# How a seed reaches the optimum is chaotic, so a rerun is compared over its first steps.
COMPARED_STEPS, TOLERANCE = 5, 0.01
SETTINGS = ("variant", "net", "hidden", "output", *ARTICLE, "seed")
REQUIRED = {*SETTINGS, "curve_step", "curve_loss", "test_loss", "floor", "verdict"}


def variant(net, **settings):
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

    Examples
    --------
    >>> variant("nearest", learning_rate=0.001)["variant"]
    'nearest/sigmoid-sigmoid/rate-0.001/200-steps'
    """
    chosen = {"net": net, **ARTICLE, **NETS[net], **settings}
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


def grid():
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


def tasks(only="*", seeds=SEEDS, steps=None):
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
        settings = [{k: v for k, v in each.items() if k != "variant"} for each in chosen]
        chosen = [variant(**{**each, "steps": steps}) for each in settings]
        chosen = list({each["variant"]: each for each in chosen}.values())
    return [{**each, "seed": seed} for each in chosen for seed in range(seeds)]


def build_model(settings):
    """Return the untrained model of a task.

    Parameters
    ----------
    settings : dict
        As `tasks` gives them.

    Returns
    -------
    keras.Model

    Examples
    --------
    >>> build_model(tasks("strided/relu-relu/5000-steps")[0]).name
    'strided_autoencoder'
    """
    relu_as_logits = settings["output"] == "relu-as-logits"
    options = {name: settings[name] for name in ("hidden", "decoder_bias", "seed")}
    options["output"] = "relu" if relu_as_logits else settings["output"]
    options["kernel_initializer"] = _initializer(settings)
    if settings["net"] == "strided":
        model = strided_autoencoder(**options)
    else:
        unpooling = settings["net"].removeprefix("mirrored-")
        order = "deconv-unpool" if unpooling == settings["net"] else "unpool-deconv"
        model = unpooling_autoencoder(unpooling, decoder_order=order, **options)
    return as_logits(model) if relu_as_logits else model


def as_logits(model):
    """Return a model whose output, whatever made it, is taken as logits.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    keras.Model
        The same with one more layer, named `logits`, that changes nothing.

    Examples
    --------
    >>> as_logits(strided_autoencoder()).layers[-1].name
    'logits'
    """
    logits = keras.layers.Activation("linear", name="logits")(model.output)
    return keras.Model(model.input, logits, name=model.name)


def run_task(settings):
    """Train, measure and diagnose one run.

    Parameters
    ----------
    settings : dict
        As `tasks` gives them.

    Returns
    -------
    dict
        The record: the settings; the loss curve, thinned to windows that grow with the step
        (`curve_step`, `curve_loss`); `test_loss`, the mean squared error on the test images, its
        `floor` and the `excess` over it; the diagnosis; seconds and versions.
    """
    digits = _digits()
    model = build_model(settings)
    loss = "bce" if "logits" in settings["output"] else "mse"
    run = train(
        model,
        digits.train.images,
        steps=settings["steps"],
        learning_rate=settings["learning_rate"],
        loss=loss,
        seed=settings["seed"],
        progress=False,
    )
    found = diagnosis.diagnose(model, digits.test.images[:DIAGNOSED_IMAGES], run=run)
    test_loss = mean_squared_error(model, digits.test.images)
    floor = _floor(settings["net"])
    steps, losses = thin(run.loss)
    return {
        **settings,
        "loss": loss,
        "verdict": found.verdict,
        "test_loss": _round(test_loss),
        "floor": _round(floor),
        "excess": _round(test_loss - floor),
        "picture": found.picture.verdict,
        "since": found.since,
        "variation": _round(found.variation),
        "dead_phases": int(found.dead_phases.sum()),
        "dead_maps": {layer: int(dead.sum()) for layer, dead in found.dead_maps.items()},
        "saturated": {layer: _round(share) for layer, share in found.saturated.items()},
        "parameters": model.count_params(),
        "seconds": round(run.seconds, 1),
        "curve_step": steps,
        "curve_loss": [_round(value) for value in losses],
        "versions": versions(),
    }


def thin(losses, points=CURVE_POINTS):
    """Average a loss curve over windows that grow with the step; the first few steps stay.

    Parameters
    ----------
    losses : sequence of float
        One for each step.
    points : int
        About how many to keep.

    Returns
    -------
    steps : list of float
        The windows' middles.
    means : list of float
        Their means.

    Examples
    --------
    >>> thin([1, 2, 3, 4, 5, 6], points=3)
    ([0.0, 1.0, 3.5], [1.0, 2.0, 4.5])
    """
    edges = np.unique(np.geomspace(1, len(losses), points).astype(int))[:-1]
    windows = np.split(np.arange(len(losses)), edges)
    values = np.asarray(losses)
    return [float(w.mean()) for w in windows], [float(values[w].mean()) for w in windows]


def versions():
    """Return what a record was made with.

    Returns
    -------
    dict of str to str
    """
    packages = ("cae-lessons", "keras", "numpy", "tensorflow")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), "machine": platform.machine(), **found}


def load(path=RECORDS):
    """Read the records of a study.

    Parameters
    ----------
    path : str or path-like
        By default those that come with the package.

    Returns
    -------
    pandas.DataFrame
        One row a run; the columns are named in `run_task`.

    Raises
    ------
    OSError
        The file can't be read.
    ValueError
        A record is damaged.

    Examples
    --------
    >>> load().groupby("variant").seed.nunique().min().item()  # seeds of each variant
    8
    """
    records, damaged = read_records(path)
    if damaged:
        raise ValueError(f"{path}: {damaged[0]}")
    return pd.DataFrame(list(records.values()))


def curve(record):
    """Return a record's loss curve as a run, to be drawn by `figures.loss_curves`.

    Parameters
    ----------
    record : mapping
        A record, or a row of what `load` returns.

    Returns
    -------
    TrainingRun
        Its steps are the middles of the windows of `thin`.

    Examples
    --------
    >>> record = {"curve_step": [0, 1.5], "curve_loss": [0.2, 0.1], "seconds": 1, "steps": 3}
    >>> curve(record).loss
    [0.2, 0.1]
    """
    settings = {"steps": record["steps"]}
    return TrainingRun(record["curve_step"], record["curve_loss"], record["seconds"], settings)


def read_records(path):
    """Read a file of records, one JSON object a line, as far as they are whole.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    records : dict of (str, int) to dict
        By variant and seed.
    damaged : list of str
        For each damaged line, which it is.

    Raises
    ------
    OSError
        The file can't be read.
    """
    records, damaged = {}, []
    lines = Path(path).read_text(errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        record = _parse(line)
        if record is None:
            damaged.append(f"line {number} is no whole record: {line[:60]!r}")
        else:
            records[record["variant"], record["seed"]] = record
    return records, damaged


def write_records(path, records):
    """Write records to a file, replaced whole or not at all, in the grid's order.

    Parameters
    ----------
    path : str or path-like
    records : dict of (str, int) to dict

    Raises
    ------
    OSError
        The file can't be written.
    """
    place = {each["variant"]: number for number, each in enumerate(grid())}
    ordered = sorted(records, key=lambda key: (place.get(key[0], len(place)), *key))
    write_whole(path, "".join(f"{json.dumps(records[key])}\n" for key in ordered))


def run_study(wanted, path, scheduler=None, report=print):
    """Do those of the wanted runs that a file has no record of, and record each as it ends.

    Parameters
    ----------
    wanted : list of dict
        As `tasks` gives them.
    path : str or path-like
        The file of records; made where there is none.
    scheduler : str, optional
        The address of a Dask scheduler.  Without one, a local cluster is started, with one
        single-threaded worker process a core.
    report : callable
        Takes a line of text: each ended run, and what was found in the file.

    Returns
    -------
    list of str
        One line for each run that failed.

    Raises
    ------
    OSError
        The file can't be read or written, or the scheduler can't be reached.
    ValueError
        The file holds something else than records.

    Notes
    -----
    Damaged records run again if they are wanted; a copy of the file as it was stays beside it.
    """
    records, damaged = read_records(path) if Path(path).exists() else ({}, [])
    if damaged and not records:
        raise ValueError(f"{path} holds no records: {damaged[0]}")
    for line in damaged:
        report(f"{path}: {line}; it stays in {path}.damaged")
    missing = [task for task in wanted if (task["variant"], task["seed"]) not in records]
    report(f"{len(wanted) - len(missing)} of {len(wanted)} runs are there already")
    if not missing:
        return []
    if damaged:
        shutil.copy(path, f"{path}.damaged")
    write_records(path, records)  # a read-only folder shows now, not after the first run
    failed = []
    with _client(scheduler) as client, _progress(missing) as bar:
        for task, record, error in _as_they_end(client, missing):
            name = f"{task['variant']} seed {task['seed']}"
            if error is None:
                records[task["variant"], task["seed"]] = record
                write_records(path, records)
                report(f"{name}: {record['test_loss']:.6f} {record['verdict']}")
            else:
                failed.append(f"{name}: {error}")
                report(f"{name} FAILED: {error}")
            _advance(bar, task, client, len(failed))
    return failed


def check(path, count=3, only="*"):
    """Run some recorded runs again and compare them with their records.

    Parameters
    ----------
    path : str or path-like
    count : int
        How many: of the shortest, spread over the grid.
    only : str
        A pattern, as in `tasks`: of these variants.

    Returns
    -------
    list of str
        What differs: a loss of the first steps by more than 1 %.  Later ones may, on another
        processor: see "Why your numbers differ" in the book.

    Raises
    ------
    OSError
        The file can't be read.
    ValueError
        It holds no such record.
    """
    records, damaged = read_records(path)
    found = [each for each in records.values() if fnmatch.fnmatchcase(each["variant"], only)]
    if not found:
        raise ValueError(f"{path} holds no record of {only!r}")
    least = min(record["steps"] for record in found)
    short = [record for record in found if record["steps"] == least]
    differences = list(damaged)
    for record in short[:: max(1, len(short) // count)][:count]:
        again = run_task({name: record[name] for name in SETTINGS})
        pairs = list(zip(record["curve_loss"], again["curve_loss"], strict=True))
        name = f"{record['variant']} seed {record['seed']}"
        apart = max(abs(new / old - 1) for old, new in pairs[:COMPARED_STEPS])
        print(
            f"{name}: recorded {record['test_loss']:.6f} {record['verdict']}, "
            f"again {again['test_loss']:.6f} {again['verdict']}; "
            f"the first losses differ by {apart:.1e}"
        )
        if apart > TOLERANCE:
            differences.append(f"{name}: the first losses differ by {apart:.1%}")
    return differences


def main(arguments=None):
    """Run the study from the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default the command line's.

    Returns
    -------
    int
        The exit status: 0 if all is well, 1 if a run failed or differs, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        wanted = tasks(options.only, options.seeds, options.steps)
        if options.list:
            return _list(wanted, options.out)
        if options.check:
            failed = check(options.out, only=options.only)
        else:
            with _alone(options.out):
                failed = run_study(wanted, options.out, options.scheduler, tqdm.write)
    except (OSError, ValueError) as error:
        sys.exit(f"study: {error}")
    except KeyboardInterrupt:
        print(f"\nInterrupted: the ended runs are in {options.out}; the same command goes on.")
        return 130
    print("\n".join(failed) if failed else f"All is in {options.out}.")
    return 1 if failed else 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m cae_lessons.study",
        description="Train a grid of variants × seeds and keep one record a run. Started again, "
        "it does only what is missing in FILE. Ctrl-C at any moment loses no ended run.",
    )
    add = parser.add_argument
    text = "the file of records, one JSON object a line (default: %(default)s)"
    add("--out", metavar="FILE", default="study_records.jsonl", type=Path, help=text)
    text = "only variants whose name fits, as in 'nearest/*/200-steps'"
    add("--only", metavar="PATTERN", default="*", help=text)
    add("--seeds", metavar="N", default=SEEDS, type=_positive, help="seeds 0 to N-1 (default: 8)")
    add("--steps", metavar="N", type=_positive, help="training steps instead of the grid's own")
    text = (
        "a Dask scheduler, as in tcp://10.0.0.1:8786; without it, a local cluster with one "
        "single-threaded worker process a core"
    )
    add("--scheduler", metavar="ADDRESS", help=text)
    add("--list", action="store_true", help="list the runs and whether they are recorded, and end")
    text = "run a few of the recorded runs (--only: of these) again and compare, and end"
    add("--check", action="store_true", help=text)
    return parser


def _settings_that_may_rescue(hidden, output):
    """Return the nearest net with every learning rate and every width of its first weights."""
    return [
        variant("nearest", hidden=hidden, output=output, learning_rate=rate, stddev=stddev)
        for rate in (0.01, 0.003, 0.001)
        for stddev in (0.1, 0.05, 0.02)
    ]


def _positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


def _list(wanted, path):
    records = read_records(path)[0] if path.exists() else {}
    for task in wanted:
        record = records.get((task["variant"], task["seed"]))
        state = f"{record['test_loss']:.6f} {record['verdict']}" if record else "missing"
        print(f"{task['variant']} seed {task['seed']}: {state}")
    return 0


@contextlib.contextmanager
def _alone(path):
    """Keep a second study from writing the same file; the system frees the lock at any death."""
    lock = locket.lock_file(f"{path}.lock", timeout=0)
    try:
        lock.acquire()
    except locket.LockError:
        raise ValueError(f"another study is writing {path}") from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _client(scheduler, workers=None):
    import dask
    from dask.distributed import Client, LocalCluster

    if scheduler:
        with Client(scheduler, timeout=10) as client:
            yield client
        return
    # One thread each: two single-threaded runs get more done than one run with two threads.
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    threads = dict.fromkeys(names, 1)
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": threads}),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _as_they_end(client, missing):
    """Yield (task, record, error) as runs end; Dask starts a run anew whose worker died."""
    from dask.distributed import as_completed

    keys = [f"{task['variant']} seed {task['seed']}" for task in missing]
    by_key = dict(zip(keys, missing, strict=True))
    futures = client.map(run_task, missing, key=keys, pure=False)
    for future in as_completed(futures):
        failed = future.status != "finished"
        yield (
            by_key[future.key],
            None if failed else future.result(),
            repr(future.exception()) if failed else None,
        )
        future.release()


def _progress(missing):
    """Return a bar that counts training steps, so that its time left is about right."""
    total = sum(task["steps"] for task in missing)
    bar = tqdm(total=total, unit=" steps", disable=None, dynamic_ncols=True)
    bar.done, bar.runs = 0, len(missing)
    return bar


def _advance(bar, task, client, failed):
    bar.done += 1
    running = min(bar.runs - bar.done, sum(client.nthreads().values()))
    state = {"done": f"{bar.done}/{bar.runs}", "running": running, "failed": failed}
    bar.set_postfix(state, refresh=False)
    bar.update(task["steps"])


def _parse(line):
    try:
        record = json.loads(line)
        whole = record.keys() >= REQUIRED and len(record["curve_step"]) == len(record["curve_loss"])
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None
    return record if whole else None


def _initializer(settings):
    if settings["initializer"] == "truncated_normal":
        return keras.initializers.TruncatedNormal(stddev=settings["stddev"])
    return settings["initializer"]


@functools.cache
def _digits():
    return load_mnist()


@functools.cache
def _floor(net):
    images = _digits().test.images
    return {"zero-fill": floors.zero_fill, "nearest": floors.nearest}.get(net, lambda _: 0.0)(
        images
    )


def _round(value):
    """Keep six digits: more are noise, and make the file large."""
    return float(f"{value:.6g}") if math.isfinite(value) else value


if __name__ == "__main__":
    # By its name: another machine's worker would look for `run_task` in its own main module.
    from cae_lessons import study

    sys.exit(study.main())
