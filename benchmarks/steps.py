"""A training step of the six nets, by the package and by what a reader would use instead."""

import importlib.util
import shutil

import numpy as np
from tqdm import tqdm

from benchmarks import nets
from benchmarks.table import milliseconds, ratio, table
from benchmarks.timing import compare, take_turns
from benchmarks.worker import Worker

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
TUNED = {ONEDNN: "1", "STEPS_PER_EXECUTION": "25"}
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1"}
# The module, and the environment: `None` leaves TensorFlow what it does by itself.  A framework
# has several configurations, as which one is fastest depends on the net and on the cores.
CONTENDERS = {
    "ours": ("ours", {}),
    "keras": ("stock", {ONEDNN: None}),
    "keras with oneDNN": ("stock", {ONEDNN: "1"}),
    "keras with oneDNN, 25 steps a call": ("stock", TUNED),
    "keras with oneDNN, 25 steps a call, one thread": ("stock", TUNED | ONE_THREAD),
    "pytorch": ("pytorch", {}),
    "pytorch, one thread": ("pytorch", {"OMP_NUM_THREADS": "1"}),
    "pytorch compiled": ("pytorch", {"PYTORCH_MODE": "compiled"}),
    "pytorch in halves": ("pytorch", {"PYTORCH_MODE": "halves"}),
    "jax": ("jax", {}),
    "jax, one thread": (
        "jax",
        {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"},
    ),
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
    """Return the contenders whose framework, and compiler, is installed."""
    needs = {"ours": "keras", "pytorch": "torch"}
    names = [
        n for n in CONTENDERS if importlib.util.find_spec(needs.get(framework(n), framework(n)))
    ]
    return [name for name in names if "compiled" not in name or shutil.which("g++")]


def framework(name):
    """Return a contender's framework.

    Examples
    --------
    >>> framework("keras with oneDNN, 25 steps a call")
    'keras'
    """
    return name.replace(",", "").split()[0]


def best(contenders):
    """Return the fastest configuration of each framework, as (name, numbers).

    Examples
    --------
    >>> found = {"jax": {"seconds": {"median": 2}}, "jax, one thread": {"seconds": {"median": 1}}}
    >>> [name for name, _ in best(found)]
    ['jax, one thread']
    """
    fastest = {}
    for name, found in sorted(contenders.items(), key=lambda item: item[1]["seconds"]["median"]):
        fastest.setdefault(framework(name), (name, found))
    return list(fastest.values())


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
    """Return the results as text: all configurations, then the best of each framework."""
    names = list(next(iter(results["nets"].values()))["contenders"])
    nets_found = {net: result["contenders"] for net, result in results["nets"].items()}
    rows = []
    for name in names:
        found = [contenders[name] for contenders in nets_found.values()]
        rows.append([name, *(f"{milliseconds(n['seconds'])} {ratio(n['ratio'])}" for n in found)])
    bests = [
        [net, *(f"{name} {ratio(found['ratio'])}" for name, found in best(contenders)[:4])]
        for net, contenders in nets_found.items()
    ]
    memory = [[name, f"{size / 1e6:,.0f} MB"] for name, size in results["peak_memory"].items()]
    return "\n\n".join(
        [
            table(["a step of 60 images, times ours", *nets_found], rows),
            table(["best of each framework", *[""] * 4], bests),
            table(["peak memory", ""], memory),
        ]
    )
