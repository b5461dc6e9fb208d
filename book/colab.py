"""Give every notebook page a button that opens it in Google Colab.

    python book/colab.py https://github.com/OWNER/NAME --branch main

Colab opens notebooks from a public repository on GitHub and has none of its other files. So each
notebook gets a hidden first cell, the same everywhere, that fetches the repository and installs the
package where it is missing, and `_config.yml` the address for the buttons. Run it again for another
address.
"""

import argparse
import re
from pathlib import Path

import nbformat

BOOK = Path(__file__).parent
CONFIG = BOOK.parent / "_config.yml"
TAG = "install"
GITHUB = re.compile(r"https://github\.com/[\w.-]+/(?P<name>[\w.-]+)")

CELL = """\
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("cae_lessons") is None:
    clone = ["git", "clone", "--depth=1", "--branch={branch}", "{url}"]
    subprocess.run(clone, check=True)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "./{name}"]
    subprocess.run(install, check=True)
    importlib.invalidate_caches()
if os.path.isdir("{name}/book"):
    os.chdir("{name}/book")
"""

BUTTONS = """
# Written by `make colab`.
repository:
  url: {url}
  branch: {branch}
launch_buttons:
  colab_url: https://colab.research.google.com
"""


def install_cell(url, branch):
    """Return the hidden cell that fetches the book and installs its package if it isn't there."""
    source = CELL.format(
        url=url, branch=branch, name=GITHUB.fullmatch(url)["name"]
    )
    return nbformat.v4.new_code_cell(
        source.rstrip(), id=TAG, metadata={"tags": [TAG, "remove-cell"]}
    )


def put_first(cell, path):
    """Put the cell before all others of a notebook, or in the place of an older one."""
    notebook = nbformat.read(path, as_version=4)
    others = [
        old
        for old in notebook.cells
        if TAG not in old.metadata.get("tags", [])
    ]
    notebook.cells = [cell, *others]
    nbformat.write(notebook, path)


def configure(url, branch):
    """Write the address into the book's configuration."""
    ours = CONFIG.read_text().partition(BUTTONS.split("{")[0])[0]
    CONFIG.write_text(ours + BUTTONS.format(url=url, branch=branch))


def parse():
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(
        description="Give every notebook page a button for Colab."
    )
    parser.add_argument(
        "url", type=github, help="https://github.com/OWNER/NAME"
    )
    parser.add_argument("--branch", default="main")
    return parser.parse_args()


def github(url):
    """Return the address of a repository on GitHub without what may stand at its end."""
    url = url.removesuffix("/").removesuffix(".git")
    if not GITHUB.fullmatch(url):
        raise argparse.ArgumentTypeError(
            f"{url!r}, expected https://github.com/OWNER/NAME"
        )
    return url


def main(url, branch):
    """Write the cell into all notebooks and the address into the configuration."""
    for path in sorted(BOOK.glob("*.ipynb")):
        put_first(install_cell(url, branch), path)
    configure(url, branch)


if __name__ == "__main__":
    arguments = parse()
    main(arguments.url, arguments.branch)
