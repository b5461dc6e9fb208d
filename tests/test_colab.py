"""Buttons for Colab: a hidden first cell that installs the package where it is missing."""

import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parent.parent
URL = "https://github.com/somebody/autoencoders"


@pytest.fixture
def colab():
    return runpy.run_path(str(ROOT / "book" / "colab.py"))


@pytest.fixture
def book(colab, tmp_path, monkeypatch):
    """A copy of the book's configuration and two of its notebooks, for `main` to change."""
    (tmp_path / "book").mkdir()
    shutil.copy(ROOT / "_config.yml", tmp_path)
    for name in ("01_transposed_convolution", "10_scoreboard"):
        shutil.copy(ROOT / "book" / f"{name}.ipynb", tmp_path / "book")
    monkeypatch.setitem(colab["main"].__globals__, "BOOK", tmp_path / "book")
    monkeypatch.setitem(colab["main"].__globals__, "CONFIG", tmp_path / "_config.yml")
    return tmp_path


def notebooks(folder):
    return [nbformat.read(path, as_version=4) for path in sorted((folder / "book").iterdir())]


def test_every_notebook_gets_the_same_hidden_first_cell_and_keeps_its_stamp(colab, book):
    fingerprint = runpy.run_path(str(ROOT / "book" / "execute.py"))["fingerprint"]
    before = notebooks(book)
    colab["main"](URL, "main")
    after = notebooks(book)
    firsts = [notebook.cells.pop(0) for notebook in after]
    for notebook in before:  # where the book is published, the cell is there already
        if "install" in notebook.cells[0].metadata.get("tags", []):
            notebook.cells.pop(0)
    assert firsts[0] == firsts[1]
    assert "remove-cell" in firsts[0].metadata.tags
    assert [notebook.cells for notebook in after] == [notebook.cells for notebook in before]
    assert list(map(fingerprint, notebooks(book))) == list(map(fingerprint, before))


def test_another_address_takes_the_place_of_the_first(colab, book):
    colab["main"](URL, "main")
    once = (book / "_config.yml").read_text()
    colab["main"]("https://github.com/other/book", "published")
    colab["main"](URL, "main")
    assert (book / "_config.yml").read_text() == once
    config = yaml.safe_load(once)
    assert config["repository"] == {"url": URL, "branch": "main"}
    assert config["title"] == yaml.safe_load((ROOT / "_config.yml").read_text())["title"]
    assert [notebook.cells[1].metadata.get("tags") for notebook in notebooks(book)] == [None, None]


def test_the_cell_does_nothing_where_the_package_is(colab, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: pytest.fail("installs"))
    exec(colab["install_cell"](URL, "main").source, {})


def test_the_cell_fetches_and_installs_where_the_package_is_missing(colab, monkeypatch, tmp_path):
    ran = []
    (tmp_path / "autoencoders" / "book").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "run", lambda command, check: ran.append(command))
    exec(colab["install_cell"](URL, "published").source, {})
    assert ran == [
        ["git", "clone", "--depth=1", "--branch=published", URL],
        [sys.executable, "-m", "pip", "install", "--quiet", "./autoencoders"],
    ]
    assert Path(os.getcwd()) == tmp_path / "autoencoders" / "book"


@pytest.mark.parametrize("url", [f"{URL}/", f"{URL}.git", URL])
def test_address_is_taken_as_people_copy_it(colab, url):
    assert colab["github"](url) == URL


@pytest.mark.parametrize("url", ["", "https://gitlab.com/a/b", "https://github.com/a"])
def test_other_addresses_are_refused(colab, url):
    with pytest.raises(ArgumentTypeError, match="expected https://github"):
        colab["github"](url)
