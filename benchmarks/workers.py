"""The study on 1, 2, … local workers: how much more gets done."""

import contextlib
import os
import time

from benchmarks.table import table
from benchmarks.timing import compare, summary, take_turns
from cae_lessons import study
from cae_lessons.study.cluster import connect

STEPS = 100
NET = "nearest"


def measure(repeats=5):
    """Return the runs a minute of each number of workers, and their efficiency."""
    counts = [count for count in (1, 2, 4, 8, 16, 32) if count <= os.cpu_count()]
    with contextlib.ExitStack() as stack:
        clusters = {count: start(stack, count) for count in counts}
        seconds = take_turns(clusters, repeats)
    rates = {count: [60 * count / value for value in seconds[count]] for count in counts}
    return [
        {
            "workers": count,
            "runs_per_minute": summary(rates[count]),
            "efficiency": compare(rates, 1)[count]["ratio"]["median"] / count,
        }
        for count in counts
    ]


def start(stack, count):
    """Start a cluster, and return a stopwatch of one run on each of its workers."""
    client = stack.enter_context(connect(workers=count))
    client.wait_for_workers(count)
    train_once(client, count)  # to import and load
    return lambda: train_once(client, count)


def train_once(client, count):
    """Do one run on each worker, and return the seconds."""
    settings = study.variant(NET, steps=STEPS)
    names = list(client.scheduler_info()["workers"])
    start = time.perf_counter()
    futures = [
        client.submit(study.run_task, {**settings, "seed": seed}, workers=name, pure=False)
        for seed, name in zip(range(count), names, strict=True)
    ]
    client.gather(futures)
    return time.perf_counter() - start


def report(results):
    """Return the results as text."""
    rows = [
        [
            str(found["workers"]),
            f"{found['runs_per_minute']['median']:.1f}",
            f"{found['efficiency']:.0%}",
        ]
        for found in results
    ]
    return table(["workers", "runs a minute", "efficiency"], rows)
