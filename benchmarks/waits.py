"""What a reader waits for besides training: imports, reading, evaluation, the book; and memory."""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from tqdm import tqdm

from benchmarks import nets
from benchmarks.steps import ONEDNN
from benchmarks.table import milliseconds, ratio, table
from benchmarks.timing import in_turn, stopwatch, summary
from cae_lessons import load_mnist, mean_squared_error, mnist

ROOT = Path(__file__).parent.parent
IMPORTS = ("import keras", "import cae_lessons")
LOADING = "import cae_lessons; cae_lessons.load_mnist()"
SHORT_STEPS = "12"  # as in the tests
EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": "book"}}).execute()
"""


def measure(repeats=5):
    """Return times in groups, and the seconds and peak memory of whole processes."""
    groups = {"evaluate 10,000 images": evaluation(), "read MNIST": reading()}
    return {
        "times": {name: in_turn(contenders, repeats) for name, contenders in groups.items()},
        "processes": imports(repeats) | {"render the book": render()} | notebooks(),
    }


def evaluation():
    """Mean squared error on the test images, against `evaluate` with its defaults."""
    model, images = nets.build("mirrored argmax"), load_mnist().test.images
    ready = nets.build("mirrored argmax")
    ready.compile(loss="mse")
    return {
        "ours": stopwatch(lambda: mean_squared_error(model, images)),
        "evaluate": stopwatch(lambda: ready.evaluate(images, images, verbose=0)),
    }


def reading():
    """`load_mnist`, against reading nothing but the file."""

    def read():
        with np.load(mnist.PACKAGED) as file:
            return {name: file[name] for name in file.files}

    return {"load_mnist": stopwatch(load_mnist), "np.load": stopwatch(read)}


def imports(repeats):
    """Import in fresh processes, turn by turn."""
    codes = (*IMPORTS, LOADING)
    turns = [{code: watch(sys.executable, "-c", code) for code in codes} for _ in range(repeats)]
    return {
        code: {
            "seconds": summary([turn[code]["seconds"]["median"] for turn in turns]),
            "peak_memory": max(turn[code]["peak_memory"] for turn in turns),
        }
        for code in codes
    }


def render():
    """Render the whole book into a folder of its own."""
    program = Path(sys.executable).with_name("jupyter-book")
    with tempfile.TemporaryDirectory() as folder:
        return watch(program, "build", "--quiet", "--path-output", folder, ROOT)


def notebooks():
    """Execute each notebook with the tests' few training steps."""
    paths = tqdm(sorted((ROOT / "book").glob("*.ipynb")), "notebooks", disable=None, leave=False)
    return {path.stem: watch(sys.executable, "-c", EXECUTE, path) for path in paths}


def watch(*command):
    """Run a command; return its seconds, and the most memory that it and its children held."""
    removed = {name: value for name, value in os.environ.items() if name != ONEDNN}
    environment = removed | {"CAE_LESSONS_STEPS": SHORT_STEPS, "TQDM_DISABLE": "1"}
    start, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        process = psutil.Popen(command, env=environment, cwd=ROOT, stdout=said, stderr=said)
        while process.poll() is None:
            peak = max(peak, held(process))
            time.sleep(0.02)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{said.read().decode()}\n{command} ended with {process.returncode}")
    return {"seconds": summary([time.perf_counter() - start]), "peak_memory": peak}


def held(process):
    """Return the resident memory of a process and of all that it started, in bytes."""
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.NoSuchProcess:  # it ended between the two lines
        pass
    return total


def report(results):
    """Return the results as text."""
    rows = [
        [group, name, milliseconds(found["seconds"]), ratio(found["ratio"])]
        for group, contenders in results["times"].items()
        for name, found in contenders.items()
    ]
    processes = [
        [name, f"{found['seconds']['median']:.2f} s", f"{found['peak_memory'] / 1e6:,.0f} MB"]
        for name, found in results["processes"].items()
    ]
    return "\n\n".join(
        [
            table(["what", "how", "time", "times the group's first"], rows),
            table(["a fresh process", "time", "peak memory"], processes),
        ]
    )
