"""The study on 1, 2, … local workers: how much more gets done."""

import os
import time

from benchmarks.table import table
from benchmarks.timing import summary
from cae_lessons import study

STEPS = 100
NET = "nearest"


def measure(repeats=5):
    """Return the runs a minute of each number of workers, and their efficiency."""
    counts = [count for count in (1, 2, 4, 8, 16, 32) if count <= os.cpu_count()]
    rates = {count: throughput(count, repeats) for count in counts}
    alone = summary(rates[1])["median"]
    return [
        {
            "workers": count,
            "runs_per_minute": summary(values),
            "efficiency": summary(values)["median"] / alone / count,
        }
        for count, values in rates.items()
    ]


def throughput(count, repeats):
    """Return runs a minute, of several rounds: training, evaluation and diagnosis."""
    with study._client(None, count) as client:
        client.wait_for_workers(count)
        train_once(client, count)  # to import and load
        return [60 * count / train_once(client, count) for _ in range(repeats)]


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
