"""Two directives about the executed notebooks: `{run-times}` and `{figure-list}`."""

from collections import defaultdict

import nbformat
from sphinx.util.docutils import SphinxDirective


def setup(app):
    """Register the directives with Sphinx."""
    app.add_directive("run-times", RunTimes)
    app.add_directive("figure-list", FigureList)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class NotebookDirective(SphinxDirective):
    """A directive that writes Markdown about the book's notebooks."""

    def run(self):
        """Parse the lines that a subclass writes."""
        return self.parse_text_to_nodes(
            "\n".join(self.lines(self.notebooks()))
        )

    def notebooks(self):
        """Return the notebooks by the names of their pages."""
        found = {}
        for page in sorted(self.env.found_docs):
            path = self.env.doc2path(page)
            if path.endswith(".ipynb"):
                self.env.note_dependency(path)
                found[page] = nbformat.read(path, as_version=4)
        return found


class RunTimes(NotebookDirective):
    """How long each notebook ran, and on which versions."""

    def lines(self, notebooks):
        """Yield a table of the pages and one of the packages."""
        yield from ("| page | run time |", "|---|--:|")
        for page, notebook in notebooks.items():
            stamp = notebook.metadata.cae_lessons
            yield f"| {{doc}}`/{page}` | {duration(stamp.seconds)} |"
        yield from ("", "| package | version |", "|---|---|")
        versions = defaultdict(set)
        for notebook in notebooks.values():
            versions["python"].add(notebook.metadata.language_info.version)
            for (
                name,
                version,
            ) in notebook.metadata.cae_lessons.versions.items():
                versions[name].add(version)
        for name, found in versions.items():
            yield f"| {name} | {', '.join(sorted(found))} |"


class FigureList(NotebookDirective):
    """Every figure with its caption and a description of the picture."""

    def lines(self, notebooks):
        """Yield a definition list for each page that has figures."""
        for page, notebook in notebooks.items():
            settings = [
                cell.metadata.get("mystnb", {}) for cell in notebook.cells
            ]
            figures = [each for each in settings if "figure" in each]
            if figures:
                yield f"\n{{doc}}`/{page}`"
            for each in figures:
                yield f"\n{{numref}}`{each.figure.name}` {each.figure.caption}"
                yield f": {each.image.alt}"


def duration(seconds):
    """Write a number of seconds as minutes and seconds."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
