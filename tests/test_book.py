"""The book keeps its promises: notebooks that ran, in full, with the code as it is now."""

import ast
import re
import runpy
from pathlib import Path

import nbformat
import numpy as np
import pytest
from matplotlib.image import imread

import cae_lessons as cae

ROOT = Path(__file__).parent.parent
EXECUTE = runpy.run_path(str(ROOT / "book" / "execute.py"), run_name="execute")
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))

EXECUTED = "<an executed cell>"
# The labels of an SVG picture that reach over its frame by more than a pixel.
CUT_OFF = """svg => {
    const frame = svg.getBoundingClientRect();
    const cut = box => Math.max(
        frame.left - box.left, box.right - frame.right,
        frame.top - box.top, box.bottom - frame.bottom);
    return [...svg.querySelectorAll("[id^=text_]")]
        .filter(text => cut(text.getBoundingClientRect()) > 1).map(text => text.id);
}"""


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_outputs_come_from_a_full_run_of_the_current_code(notebook):
    stamp = notebook.metadata.get("cae_lessons", {})
    assert stamp.get("steps") == EXECUTE["FULL_STEPS"], "run `make execute`"
    assert stamp["fingerprint"] == EXECUTE["fingerprint"](notebook), (
        "the notebook's or the package's code changed: run `make execute`"
    )


def test_fingerprint_sees_code_but_not_comments_or_docstrings():
    fingerprint = EXECUTE["fingerprint"]

    def notebook(source):
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])

    plain = fingerprint(notebook("def f():\n    return 1"))
    assert plain == fingerprint(notebook('def f():\n    """Why."""\n    return 1  # one'))
    assert plain != fingerprint(notebook("def f():\n    return 2"))


def test_fingerprint_sees_the_study_where_it_is_read(tmp_path, monkeypatch):
    fingerprint = EXECUTE["fingerprint"]
    (tmp_path / "models.py").write_text("a = 1")
    monkeypatch.setitem(fingerprint.__globals__, "PACKAGE", tmp_path)

    def both():
        cells = [nbformat.v4.new_code_cell(code) for code in ("cae.study.load()", "cae.train()")]
        return [fingerprint(nbformat.v4.new_notebook(cells=[cell])) for cell in cells]

    (tmp_path / "study.py").write_text("a = 1")
    (tmp_path / "study_records.jsonl").write_text("{}")
    reads, does_not = both()
    (tmp_path / "study_records.jsonl").write_text('{"seed": 1}')
    other, same = both()
    (tmp_path / "study.py").write_text("a = 2")
    another, still_same = both()
    assert len({reads, other, another}) == 3
    assert does_not == same == still_same


def test_fingerprint_sees_the_modules_that_a_notebook_reaches_and_no_others(tmp_path, monkeypatch):
    fingerprint = EXECUTE["fingerprint"]
    monkeypatch.setitem(fingerprint.__globals__, "PACKAGE", tmp_path)
    files = {
        "__init__.py": "if X:\n    from cae_lessons.training import train",
        "training.py": "def f():\n    from cae_lessons import models",
        "models.py": "from cae_lessons.layers import a",
        "layers.py": "a = 1",
        "figures/__init__.py": "from cae_lessons.figures.lines import curve\n"
        "from cae_lessons.figures.pixels import digits",
        "figures/lines.py": "curve = 1",
        "figures/pixels.py": "from cae_lessons.figures import style\ndigits = 1",
        "figures/style.py": "a = 1",
    }
    (tmp_path / "figures").mkdir()
    for name, source in files.items():
        (tmp_path / name).write_text(source)

    def prints():
        codes = ("cae.train(1)", "cae.figures.digits(x)", "cae.figures.curve(x)")
        cells = [nbformat.v4.new_code_cell(code) for code in codes]
        return [fingerprint(nbformat.v4.new_notebook(cells=[cell])) for cell in cells]

    before = prints()
    seen = {
        "layers.py": [True, False, False],
        "figures/pixels.py": [False, True, False],
        "figures/style.py": [False, True, False],
        "figures/lines.py": [False, False, True],
    }
    for name, expected in seen.items():
        (tmp_path / name).write_text(f"{files[name]}\nb = 2")
        assert [old != new for old, new in zip(before, prints(), strict=True)] == expected
        (tmp_path / name).write_text(files[name])


def test_every_module_of_the_package_is_reached_from_its_door():
    package = EXECUTE["PACKAGE"]
    source = "\n".join(f"cae.{name}" for name in cae.__all__) + "\ncae.study"
    left = set(package.rglob("*.py")) - EXECUTE["reached"](source)
    # The doors themselves, the command, and the backends that aren't TensorFlow.
    assert {path.relative_to(package).as_posix() for path in left} <= {
        "__init__.py",
        "diagnose.py",
        "figures/__init__.py",
        "pooling/__init__.py",
        "pooling/jax.py",
        "pooling/torch.py",
        "study/__main__.py",
        "study/command.py",
    }


def test_every_cell_ran_in_order_without_error_or_noise(notebook):
    cells = code_cells(notebook)
    if "install" in cells[0].metadata.get("tags", []):
        cells.pop(0)
    counts = [cell.execution_count for cell in cells]
    assert counts == list(range(counts[0], counts[0] + len(cells)))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]


def test_cells_are_short(notebook):
    for cell in code_cells(notebook):
        folded = {"hide-cell", "hide-input", "remove-cell"} & set(cell.metadata.get("tags", []))
        assert len(cell.source.splitlines()) <= (30 if folded else 15), cell.source


def test_every_figure_has_alt_text_and_caption(notebook):
    for cell in code_cells(notebook):
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        if kinds & {"image/png", "image/svg+xml"}:
            settings = cell.metadata.get("mystnb", {})
            assert settings.get("image", {}).get("alt"), cell.source
            assert settings.get("figure", {}).get("caption"), cell.source


def test_no_text_of_a_figure_is_cut_off(notebook, browser):
    page = browser.new_page()
    for output in (output for cell in code_cells(notebook) for output in cell.outputs):
        if svg := output.get("data", {}).get("image/svg+xml"):
            page.set_content(svg)
            assert page.locator("svg").first.evaluate(CUT_OFF) == []
    page.close()


def test_every_exercise_has_a_hint_and_an_executed_solution(notebook):
    text = "\n".join(
        EXECUTED if cell.cell_type == "code" else cell.source for cell in notebook.cells
    )
    exercises = re.findall(r"```\{exercise\}\n:label: (\S+)(.*?)\n```\n?$", text, re.S | re.M)
    assert len(exercises) >= 3
    for _, body in exercises:
        assert ":::{dropdown} Hint" in body
    closed = {label for label, body in exercises if "open question" not in body.lower()}
    labels = [label for label, _ in exercises]
    solutions = dict(
        re.findall(r"\{solution-start\} (\S+)\n:class: dropdown(.*?)\{solution-end\}", text, re.S)
    )
    assert closed <= solutions.keys()
    assert list(solutions) == [label for label in labels if label in solutions]
    assert all(EXECUTED in solutions[label] for label in closed)


def test_opening_picture_is_what_its_script_draws(tmp_path):
    script = runpy.run_path(str(ROOT / "book" / "opening_picture.py"), run_name="opening")
    script["draw"]().save(tmp_path / "floors.png")
    drawn, stored = imread(tmp_path / "floors.png"), imread(script["FILE"])
    assert drawn.shape == stored.shape
    assert np.abs(drawn - stored).mean() < 0.01  # another version's fonts may differ a little


@pytest.mark.parametrize("page", ["README.md", "book/intro.md", "book/api.md"])
def test_first_snippet_is_the_package_as_it_is(page):
    snippet = re.search(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)[1]
    # ten steps instead of more: the call is what is tested
    shorter = re.sub(r"steps=\d+", "steps=10", snippet)
    assert shorter != snippet
    exec(compile(ast.parse(shorter), page, "exec"), {})
