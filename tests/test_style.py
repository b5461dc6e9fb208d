"""How the pages read: no plumbing in sight, tables as tables, headings that name one thing each.

Each rule is a function that lists what is wrong; the samples show that it bites.
"""

import ast
import io
import re
import string
import tokenize
from collections import Counter
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
BOOK = ROOT / "book"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
PAGES = [*NOTEBOOKS, *sorted(BOOK.glob("*.md")), ROOT / "README.md"]
FOLDED = {"hide-cell", "hide-input", "remove-cell", "remove-input"}
UNSEEN = {"remove-cell", "remove-output"}
CHECKED = "How this was checked"
# The parts that every chapter has.
FRAME = ["You have seen", "Exercises", "Questions"]

FILL_AND_ALIGN = r"(?:.?[<>=^])?"
SPEC = re.compile(FILL_AND_ALIGN + r"[-+ ]?z?#?0?(?P<width>\d*)[,_]?(?:\.\w+)?[a-zA-Z%]?", re.S)
PERCENT_WIDTH = re.compile(r"%(?:\(\w+\))?[-+ #]*[1-9*]\d*(?:\.\d+)?[a-zA-Z]")
PADDING = {"ljust", "rjust", "center", "expandtabs", "to_string"}
EXPONENT = re.compile(r"(?<![\w.#])\d[\d.]*e[-+]\d+\b")
RIDDLES = re.compile(r"\b(?:is|are) no such\b|\b(?:is|are) none of\b", re.I)


def asserts(source):
    """List the assertions in a cell."""
    found = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert))
    return [ast.unparse(node) for node in found]


def step_budget(source):
    """List the mentions of how many steps the tests take, in code, strings and comments."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    names = [token.string for token in tokens if token.type not in (tokenize.NL, tokenize.NEWLINE)]
    return [name for name in names if name == "STEPS" or "CAE_LESSONS_STEPS" in name]


def alignment(source):
    """List the places where a cell lines up columns by hand."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FormattedValue) and node.format_spec:
            found += [ast.unparse(node.value)] * _has_width(node.format_spec)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found += [node.func.attr] * (node.func.attr in PADDING)
            if node.func.attr == "format" and isinstance(node.func.value, ast.Constant):
                found += _widths_of_fields(node.func.value.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found += _padded_words(node) if node.func.id == "print" else []
            if node.func.id == "format" and len(node.args) > 1:
                found += ["format"] * _has_width(node.args[1])
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            text = node.left.value if isinstance(node.left, ast.Constant) else None
            found += PERCENT_WIDTH.findall(text) if isinstance(text, str) else []
    return found


def _has_width(spec):
    """Tell whether a format specification, as a tree, has a width; 03 for a file's name is none."""
    values = spec.values if isinstance(spec, ast.JoinedStr) else [spec]
    # What is computed stands for a width, unless it comes behind the point.
    text = "".join(str(v.value) if isinstance(v, ast.Constant) else "9" for v in values)
    return _is_wide(text)


def _is_wide(spec):
    parsed = SPEC.fullmatch(spec)
    return bool(parsed and parsed["width"] and not re.match(r"0\d+d?$", spec))


def _widths_of_fields(text):
    return [spec for _, _, spec, _ in string.Formatter().parse(text) if spec and _is_wide(spec)]


def _padded_words(call):
    """List what a call prints that holds a word and then two spaces or more."""
    words = [node.value for node in ast.walk(call) if isinstance(node, ast.Constant)]
    return [word for word in words if isinstance(word, str) and re.search(r"\S {2,}", word)]


def plain_tables(outputs):
    """List the outputs of a cell that are tables without HTML."""
    texts = []
    for output in outputs:
        data = output.get("data", {})
        if output.get("output_type") == "stream" or "text/html" not in data:
            texts.append(output.get("text", data.get("text/plain", "")))
    return [text for text in texts if _is_plain_table(text)]


def _is_plain_table(text):
    """Tell whether a text is how Pandas writes a data frame or a series without HTML."""
    lines = text.rstrip("\n").split("\n")
    if re.search(r"^(\[\d+ rows x \d+ columns\]|(Name: .*, )?dtype: \w+)$", text, re.M):
        return True
    head, *rows = lines
    heads = bool(re.match(r" +[^\s\[]", head)) and len(rows) > 0
    return heads and all(len(row) == len(head) for row in rows)


def headings(text):
    """List the headings of a page in Markdown, not the comments in its code."""
    text = re.sub(r"^(`{3,}|~{3,}).*?^\1", "", text, flags=re.S | re.M)
    return re.findall(r"^#{1,6} +(.+?) *$", text, re.M)


def used_twice(titles):
    """List the titles that occur more than once, whatever their case."""
    counts = Counter(title.casefold() for title in titles if title not in FRAME)
    return sorted(title for title, count in counts.items() if count > 1)


def exponents(outputs):
    """List the numbers in tables that are written as 5e-05 and not as decimals."""
    tables = ["".join(each.get("data", {}).get("text/html", "")) for each in outputs]
    return [number for table in tables for number in EXPONENT.findall(table)]


def riddles(text):
    """List what sounds translated: "is no such" for "is not a", "is none of" for "isn't one of"."""
    return RIDDLES.findall(text)


def visible(cell):
    """Tell whether a reader sees a cell's code without unfolding it."""
    return cell.cell_type == "code" and not FOLDED & set(cell.metadata.get("tags", []))


def wrong_label(cell):
    """Tell whether a folded check isn't labelled as the others are."""
    folded = "hide-cell" in cell.metadata.get("tags", [])
    label = cell.metadata.get("mystnb", {}).get("code_prompt_show")
    return folded and bool(asserts(cell.source)) and label != CHECKED


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def cells(request):
    return nbformat.read(request.param, as_version=4).cells


def text_of(page):
    """Return all that is written on a page, without the outputs."""
    if page.suffix == ".md":
        return page.read_text()
    return "\n\n".join(cell.source for cell in nbformat.read(page, as_version=4).cells)


def prose_of(page):
    """Return what is written on a page in Markdown."""
    if page.suffix == ".md":
        return page.read_text()
    cells = nbformat.read(page, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def listed(faults):
    """Return a message with a line for each place that has faults."""
    return "\n".join(f"{place}: {', '.join(found)}" for place, found in faults if found)


@pytest.mark.parametrize("rule", [asserts, step_budget, alignment])
def test_visible_cells_show_the_lesson_alone(cells, rule):
    faults = [(cell.id, rule(cell.source)) for cell in cells if visible(cell)]
    assert not any(found for _, found in faults), listed(faults)


def test_folded_checks_have_one_label(cells):
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.id for cell in code if wrong_label(cell)] == []


def test_tables_are_html(cells):
    shown = [cell for cell in cells if not UNSEEN & set(cell.metadata.get("tags", []))]
    faults = [(cell.id, plain_tables(cell.get("outputs", []))) for cell in shown]
    assert not any(found for _, found in faults), listed(faults)


def test_tables_have_decimals(cells):
    faults = [(cell.id, exponents(cell.get("outputs", []))) for cell in cells]
    assert not any(found for _, found in faults), listed(faults)


def test_no_heading_is_used_twice_in_the_book():
    found = {page.stem: headings(prose_of(page)) for page in PAGES if page.parent == BOOK}
    twice = used_twice([title for titles in found.values() for title in titles])
    pages = [(title, [p for p in found if title in map(str.casefold, found[p])]) for title in twice]
    assert not twice, listed(pages)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_pages_are_plain_english(page):
    assert riddles(text_of(page)) == []


# That each rule bites, and what it lets pass.


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        (asserts, "x = 1\nif x:\n    assert x == 1"),
        (step_budget, "run = train(model, steps=min(cae.training.STEPS, 200))"),
        (step_budget, "from cae_lessons.training import STEPS"),
        (step_budget, "import os\nos.environ['CAE_LESSONS_STEPS']"),
        (step_budget, "train(model)  # as many as CAE_LESSONS_STEPS says"),
        (alignment, "print(f'{name:14}')"),
        (alignment, "print(f'{loss:>8}')"),
        (alignment, "print(f'{loss:10.4f}')"),
        (alignment, "print(f'{loss:8,.1f}')"),
        (alignment, "print(f'{loss:8.1%}')"),
        (alignment, "print(f'{name:.<20}')"),
        (alignment, "print(f'{name:{width}}')"),
        (alignment, "print('{:14} {:.3f}'.format(name, loss))"),
        (alignment, "print('%-14s' % name)"),
        (alignment, "print(format(loss, '>8'))"),
        (alignment, "print(name.ljust(14))"),
        (alignment, "print(table.to_string())"),
        (alignment, "print('by hand:     ', loss)"),
    ],
)
def test_rules_for_code_bite(rule, wrong):
    assert rule(wrong)


@pytest.mark.parametrize(
    "right",
    [
        "print(f'{loss:.3f} after {steps:,} steps, {share:.0%}, {change:+.2e}')",
        "print(f'{loss:.{digits}f}, {name!r}, {number:x}, {number:02}')",
        "print('%.3f, %d%% of %s' % (loss, share, name))",
        "print('{} of {:.3f}'.format(name, loss), format(loss, '.3f'))",
        "steps = 200  # every step counts\n'asserted'",
    ],
)
def test_rules_for_code_let_pass(right):
    assert asserts(right) + step_budget(right) + alignment(right) == []


def test_only_visible_cells_are_judged():
    cell = nbformat.v4.new_code_cell("assert True")
    assert visible(cell)
    for tag in FOLDED:
        cell.metadata["tags"] = ["nbval-check-output", tag]
        assert not visible(cell)


def test_rule_for_labels_bites():
    cell = nbformat.v4.new_code_cell("assert True", metadata={"tags": ["hide-cell"]})
    assert wrong_label(cell)
    cell.metadata["mystnb"] = {"code_prompt_show": CHECKED}
    assert not wrong_label(cell)


def test_rule_for_tables_bites():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"loss": [0.1, 0.25], "steps": [1, 2000]}, index=["a net", "b"])
    for thing in (frame, frame.loss, frame.rename_axis("net").loss):
        plain = {"text/plain": repr(thing)}
        assert plain_tables([{"output_type": "execute_result", "data": plain}])
        assert plain_tables([{"output_type": "stream", "text": repr(thing) + "\n"}])
    both = {"text/plain": repr(frame), "text/html": "<table></table>"}
    assert not plain_tables([{"output_type": "execute_result", "data": both}])
    for text in ("[[1 2]\n [3 4]]", "array([[5, 8],\n       [7, 5]])", "26 → 13\n27 → 14"):
        assert not plain_tables([{"output_type": "stream", "text": text}])


def test_rule_for_decimals_bites():
    def found(number):
        table = f"<td>{number} (12%)</td>"
        return exponents([{"output_type": "execute_result", "data": {"text/html": table}}])

    assert found("5.4e-05") == ["5.4e-05"]
    assert found("1e+06") == ["1e+06"]
    assert not any(map(found, ("0.000054", "one-05", "#5e-05")))


def test_rule_for_headings_bites():
    page = "# Floors\n\n```python\n# Training\n```\n\n## Training\n\n## Exercises\n"
    assert headings(page) == ["Floors", "Training", "Exercises"]
    assert used_twice(headings(page)) == []
    assert used_twice(headings(page + "## Exercises\n### training")) == ["training"]


def test_rule_for_english_bites():
    assert riddles("a ValueError where the mask is no such array")
    assert riddles("Its layer is none of these.")
    assert not riddles("The mask isn't one of these arrays, and none of them is dead.")
