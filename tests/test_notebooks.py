"""How the notebooks run as tests: one that passed runs again only after a change."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

BOOK = Path(__file__).parent.parent / "book"


@pytest.fixture
def project(tmp_path):
    """A small project with the book's way to run notebooks."""
    (tmp_path / "book").mkdir()
    (tmp_path / "requirements.txt").touch()
    for name in ("conftest.py", "execute.py"):
        shutil.copy(BOOK / name, tmp_path / "book" / name)
    return tmp_path


def write(project, name, *cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, project / "book" / f"{name}.ipynb")


def outcomes(project, *options):
    """Run the notebooks; return the number of cells of each outcome."""
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", "book"]
    run = subprocess.run(
        [*command, *options],
        cwd=project,
        env={**os.environ, "PYTEST_ADDOPTS": ""},  # --cache-clear is for the tests outside
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"(\d+) (passed|failed|skipped)", run.stdout.splitlines()[-1])
    return {outcome: int(count) for count, outcome in found}


def test_notebook_that_passed_runs_again_only_after_a_change(project):
    write(project, "good", "x = 1", "assert x")
    write(project, "bad", "y = 1", "assert not y")
    # One cell of a notebook says nothing about the others.
    assert outcomes(project, "-k", "good and 0") == {"passed": 1}
    assert outcomes(project) == {"passed": 3, "failed": 1}
    assert outcomes(project) == {"skipped": 2, "passed": 1, "failed": 1}
    write(project, "good", "x = 2", "assert x")
    assert outcomes(project) == {"passed": 3, "failed": 1}
