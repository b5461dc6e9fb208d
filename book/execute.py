"""Run the book's notebooks at full length and write their outputs back.

    python book/execute.py                 every notebook
    python book/execute.py 02 04           those whose names start so

Each notebook is stamped with a fingerprint of the code that made its outputs, so that a test can
tell outputs that have gone stale.
"""

import argparse
import ast
import hashlib
import importlib.metadata
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

BOOK = Path(__file__).parent
PACKAGE = BOOK.parent / "cae_lessons"
PACKAGE_NAME = "cae_lessons"
RESULTS = BOOK.parent / "benchmarks" / "results.json"
FULL_STEPS = 5_000
STAMPED = ("tensorflow", "keras", "numpy")


def fingerprint(notebook):
    """Return a digest of a notebook's code and the package's, without comments or docstrings.

    Only the modules count that the notebook reaches, and what it reads: the study's records, the
    article's losses, the benchmarks' results. The cell that installs the package where it is
    missing doesn't count.
    """
    cells = [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code"
        and "install" not in cell.metadata.get("tags", [])
    ]
    digest = hashlib.sha256()
    if any("cae.study" in cell for cell in cells):
        digest.update((PACKAGE / "study_records.jsonl").read_bytes())
    if any("article_run" in cell for cell in cells):
        digest.update((PACKAGE / "article_losses.csv").read_bytes())
    if any("benchmarks/results.json" in cell for cell in cells):
        digest.update(RESULTS.read_bytes())
    modules = reached("\n".join(cells))
    for source in cells + [path.read_text() for path in sorted(modules)]:
        digest.update(
            ast.dump(_without_docstrings(ast.parse(source))).encode()
        )
    return digest.hexdigest()


def reached(code):
    """Return the package's files that some code reaches through the name `cae`."""
    files = set()
    for chain in re.findall(r"\bcae((?:\.\w+)+)", code):
        _follow("__init__", chain.split(".")[1:], files)
    return files


def _follow(module, names, files):
    """Add the file that defines the first of some dotted names, and all that it imports."""
    path = _file(module)
    homes = {} if path is None else _homes(path, module)
    name = names[0] if names else None
    if module == "__init__" or (
        name in homes and path.name == "__init__.py"
    ):
        # A door that only passes names on: the rooms behind the other names don't count.
        target = homes.get(name, name)
        inner = (
            names[1:] if target == name or module == "__init__" else names
        )
        if _file(target):
            _follow(target, inner, files)
    elif path is not None and path not in files:
        files.add(path)
        for home in set(homes.values()):
            _follow(home, [], files)


def _homes(path, module):
    """Return the modules of the package that the names in a file come from."""
    homes = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (
            node.module or ""
        ).startswith(PACKAGE_NAME):
            source = node.module.removeprefix(PACKAGE_NAME).lstrip(".")
            for alias in node.names:
                inner = ".".join(filter(None, [source, alias.name]))
                homes[alias.name] = inner if _file(inner) else source
    return homes


def _file(module):
    """Return the file of a module, named without the package's name; None if there is none."""
    inner = PACKAGE.joinpath(*module.split(".")) if module else PACKAGE
    candidates = inner.with_suffix(".py"), inner / "__init__.py"
    return next((path for path in candidates if path.is_file()), None)


def execute(path):
    """Run one notebook from top to bottom and save it with its outputs and its stamp."""
    notebook = nbformat.read(path, as_version=4)
    code = fingerprint(
        notebook
    )  # of the code that runs, whatever is edited meanwhile
    start = time.perf_counter()
    client = NotebookClient(
        notebook,
        timeout=3600,
        coalesce_streams=True,
        resources={"metadata": {"path": str(BOOK)}},
        # What TensorFlow's C++ side says at its start belongs in the terminal, not on a page.
        extra_arguments=["--IPKernelApp.capture_fd_output=False"],
    )
    client.execute()
    seconds = time.perf_counter() - start
    for cell in notebook.cells:
        cell.metadata.pop(
            "execution", None
        )  # wall-clock times, different at every run
    notebook.metadata.cae_lessons = {
        "fingerprint": code,
        "seconds": round(seconds),
        "steps": FULL_STEPS,
        "versions": {
            name: importlib.metadata.version(name) for name in STAMPED
        },
    }
    partial = path.with_suffix(".partial")
    nbformat.write(notebook, partial)
    partial.replace(path)
    return seconds


def main(prefixes):
    """Run the notebooks whose names start with one of the prefixes, or all."""
    os.environ |= {
        "CAE_LESSONS_STEPS": str(FULL_STEPS),
        "TQDM_DISABLE": "1",
    }
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    paths = [
        path
        for path in sorted(BOOK.glob("*.ipynb"))
        if not prefixes or path.name.startswith(tuple(prefixes))
    ]
    if not paths:
        sys.exit(
            f"no notebook in {BOOK} has a name that starts with {' or '.join(prefixes)}"
        )
    for path in paths:
        print(f"{path.name} … ", end="", flush=True)
        print(f"{execute(path):.0f} s")


def parse():
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(
        description=f"Run notebooks with {FULL_STEPS:,} training steps and save their outputs."
    )
    parser.add_argument(
        "prefixes",
        nargs="*",
        help="how their names start: 03, say; all by default",
    )
    return parser.parse_args()


def _without_docstrings(tree):
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            node.body = body[1:]
    return tree


def _is_docstring(node):
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


if __name__ == "__main__":
    main(parse().prefixes)
