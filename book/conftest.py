"""Run the notebooks as tests: few training steps, no progress bars, no start-up chatter.

A notebook that passed is skipped until something changes on which its outputs depend.
"""

import hashlib
import importlib.metadata
import os
import runpy
import sys
from pathlib import Path

import nbformat
import pytest

BOOK = Path(__file__).parent
EXECUTE = runpy.run_path(str(BOOK / "execute.py"))
RUNNERS = [
    Path(__file__),
    BOOK / "execute.py",
    BOOK.parent / "requirements.txt",
]
PASSED = "passed already, and nothing that it depends on has changed"

os.environ.setdefault("CAE_LESSONS_STEPS", "12")
os.environ["TQDM_DISABLE"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_itemcollected(item):
    """Give a cell's output an hour to arrive: nbval's five seconds pass on a loaded machine."""
    if hasattr(item, "output_timeout"):
        item.output_timeout = 3600


def pytest_collection_modifyitems(config, items):
    """Skip the notebooks that have passed as they are."""
    cells = [item for item in items if item.path.suffix == ".ipynb"]
    found = {
        path: _cells_and_digest(path)
        for path in {cell.path for cell in cells}
    }
    cache = getattr(config, "cache", None)  # none with -p no:cacheprovider
    for cell in cells if cache else ():
        cell.parent.to_pass = _, digest = found[cell.path]
        if cache.get(_key(cell.path), None) == digest:
            cell.add_marker(pytest.mark.skip(PASSED))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Remember a notebook once all its cells have passed."""
    report = yield
    if (
        report.when == "call"
        and report.passed
        and hasattr(item.parent, "to_pass")
    ):
        left, digest = item.parent.to_pass
        item.parent.to_pass = left - 1, digest
        if left == 1:
            item.config.cache.set(_key(item.path), digest)
    return report


def _key(path):
    return f"notebooks/{path.stem}"


def _cells_and_digest(path):
    """Return how many cells run, and a digest of all that counts."""
    notebook = nbformat.read(path, as_version=4)
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    versions = [
        importlib.metadata.version(name) for name in EXECUTE["STAMPED"]
    ]
    settings = map(os.environ.get, ("CAE_LESSONS_STEPS", "FASHION_MNIST"))
    parts = [
        EXECUTE["fingerprint"](notebook).encode(),
        *(each.read_bytes() for each in [path, *RUNNERS]),
        repr([sys.version, versions, *settings]).encode(),
    ]
    return cells, hashlib.sha256(b"".join(parts)).hexdigest()
