"""A training step of the six nets, by the package and by what a reader would use instead."""

import importlib.util

import numpy as np
from tqdm import tqdm

from benchmarks import nets
from benchmarks.table import milliseconds, ratio, table
from benchmarks.timing import compare, take_turns
from benchmarks.worker import Worker

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
# The module, and the environment: `None` leaves TensorFlow what it does by itself.
CONTENDERS = {
    "ours": ("ours", {}),
    "keras": ("stock", {ONEDNN: None}),
    "keras with oneDNN": ("stock", {ONEDNN: "1"}),
    "pytorch": ("pytorch", {}),
    "jax": ("jax", {}),
}
STEPS_PER_TURN = 100  # so that what `fit` does once a call counts little
WARM_UP = 20
CHECKED_STEPS = 5
# Shares by which a loss may differ from ours: the first by sums in another order; those after it
# by what Adam makes of that, whose first steps are of equal length however small the gradient.
TOLERANCES = np.array([1e-5] + [1e-2] * (CHECKED_STEPS - 1))


def measure(repeats=5, contenders=None):
    """Return, for each net, how long each contender's step takes, and each one's peak memory.

    Parameters
    ----------
    repeats : int
        Turns of 100 steps.
    contenders : iterable of str, optional
        By default all that are installed.

    Returns
    -------
    dict

    Raises
    ------
    ArithmeticError
        A contender's losses are not ours.
    """
    workers = {name: open_worker(name) for name in contenders or installed()}
    try:
        progress = tqdm(nets.BUILDERS, desc="nets", disable=None, leave=False)
        results = {net: measure_net(net, workers, repeats) for net in progress}
        memory = {name: worker.peak_memory() for name, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.close()
    return {"nets": results, "peak_memory": memory}


def installed():
    """Return the contenders whose framework is installed."""
    needs = {"pytorch": "torch", "jax": "jax"}
    return [name for name in CONTENDERS if importlib.util.find_spec(needs.get(name, "keras"))]


def open_worker(name):
    """Start a contender's process."""
    contender, environment = CONTENDERS[name]
    return Worker(contender, **environment)


def measure_net(net, workers, repeats):
    """Check that all train one net alike, then time them turn by turn."""
    weights = nets.build(net).get_weights()
    for worker in workers.values():
        worker.start(net, weights, nets.images())
    deviation = check(net, {name: first_losses(worker) for name, worker in workers.items()})
    batches = nets.batches(STEPS_PER_TURN)
    turns = {
        name: lambda worker=worker: worker.train(batches)[1] / len(batches)
        for name, worker in workers.items()
    }
    for worker in workers.values():
        worker.train(batches[:WARM_UP])
    return {"first_loss_deviation": deviation, "contenders": compare(take_turns(turns, repeats))}


def first_losses(worker):
    """Return the losses of the first steps."""
    return [worker.train(batch[None])[0] for batch in nets.batches(CHECKED_STEPS)]


def check(net, losses):
    """Return by what share of ours the first loss differs at most; raise if one is too far off."""
    expected = np.array(losses["ours"])
    deviations = {name: np.abs(values / expected - 1) for name, values in losses.items()}
    for name, deviation in deviations.items():
        if not np.all(deviation < TOLERANCES):  # NaN is wrong too
            raise ArithmeticError(f"{net}: {name} has the losses {losses[name]}, not {expected}")
    return float(max(deviation[0] for deviation in deviations.values()))


def report(results):
    """Return the results as text."""
    names = list(next(iter(results["nets"].values()))["contenders"])
    head = ["a step of 60 images", *names]
    times, ratios = [], []
    for net, result in results["nets"].items():
        found = [result["contenders"][name] for name in names]
        times.append([net, *(milliseconds(numbers["seconds"]) for numbers in found)])
        ratios.append([net, *(ratio(numbers["ratio"]) for numbers in found)])
    memory = ["peak memory", *(f"{results['peak_memory'][name] / 1e6:,.0f} MB" for name in names)]
    return "\n\n".join([table(head, [*times, memory]), table(["times ours", *names], ratios)])
