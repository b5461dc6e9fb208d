"""How a step's time and memory grow with the batch, the image and the channels."""

import numpy as np

from benchmarks.table import milliseconds, table
from benchmarks.timing import summary
from benchmarks.worker import Worker

BATCH_SIZE, SIDE, CHANNELS = 60, 28, 8
SERIES = {
    "batch size": [
        {"batch_size": value, "side": SIDE, "channels": CHANNELS}
        for value in (1, 4, 16, 64, 256, 1024, 4096)
    ],
    "image side": [
        {"batch_size": BATCH_SIZE, "side": value, "channels": CHANNELS}
        for value in (28, 56, 112, 224)
    ],
    "channels": [
        {"batch_size": BATCH_SIZE, "side": SIDE, "channels": value} for value in (4, 8, 16, 32, 64)
    ],
}
PIXELS_PER_TURN = 60 * 28 * 28 * 50  # the smaller the batch, the more steps a turn takes
MOST_STEPS, LEAST_STEPS = 100, 2


def measure(repeats=5):
    """Return each series' points, with the seconds a step takes and the memory it needs."""
    return {name: measure_series(points, repeats) for name, points in SERIES.items()}


def measure_series(points, repeats):
    """Measure all points in ascending order, then again, in one fresh process.

    In the first round, the process' peak memory is that of the point just measured.
    """
    worker = Worker("simple")
    try:
        rounds = [[measure_point(worker, **point) for point in points] for _ in range(repeats)]
    finally:
        worker.close()
    return [
        {
            **point,
            "seconds": summary([seconds for seconds, _ in turns]),
            "peak_memory": turns[0][1],
        }
        for point, turns in zip(points, zip(*rounds, strict=True), strict=True)
    ]


def measure_point(worker, batch_size, side, channels):
    """Return the seconds of a step, and the peak memory so far."""
    images = np.random.default_rng(0).random((batch_size, side, side, 1), np.float32)
    steps = PIXELS_PER_TURN // images.size
    batches = np.tile(np.arange(batch_size), (max(min(steps, MOST_STEPS), LEAST_STEPS), 1))
    worker.start(channels, None, images)
    worker.train(batches)  # to warm up
    _, seconds = worker.train(batches)
    return seconds / len(batches), worker.peak_memory()


def report(results):
    """Return the results as text: the last two columns are even where growth is linear."""
    return "\n\n".join(report_series(name, points) for name, points in results.items())


def report_series(name, points):
    """Return one series as text."""
    key = {"batch size": "batch_size", "image side": "side"}.get(name, name)
    head = [name, "a step", "peak memory", "ns a pixel", "ns a pixel and channel"]
    rows = []
    for point in points:
        pixels = point["batch_size"] * point["side"] ** 2
        nanoseconds = point["seconds"]["median"] / pixels * 1e9
        rows.append(
            [
                f"{point[key]:,}",
                milliseconds(point["seconds"]),
                f"{point['peak_memory'] / 1e6:,.0f} MB",
                f"{nanoseconds:,.1f}",
                f"{nanoseconds / point['channels']:,.2f}",
            ]
        )
    return table(head, rows)
