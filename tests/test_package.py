"""What holds for the package as a whole: its names, its types, its words."""

import ast
import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import cae_lessons as cae

PACKAGE = Path(cae.__file__).parent
DOORS = [getattr(cae, name) for name in (*cae.__all__, "study")]
FILES = sorted(PACKAGE.rglob("*.py"))


def public_functions():
    """Yield all that a reader may call: the functions, and the classes' own methods."""
    for door in DOORS:
        if not inspect.ismodule(door):
            yield door.__name__, door
            continue
        for name in getattr(door, "__all__", [n for n in vars(door) if not n.startswith("_")]):
            thing = getattr(door, name)
            if not getattr(thing, "__module__", "").startswith("cae_lessons"):
                continue
            if inspect.isclass(thing):
                methods = inspect.getmembers(thing, inspect.isfunction)
                yield from ((f"{name}.{m}", f) for m, f in methods if m in vars(thing))
            elif callable(thing):
                yield f"{door.__name__}.{name}", thing


def test_every_public_function_has_types():
    left = []
    for name, function in public_functions():
        inner = name.split(".")[-1]
        if inner.startswith("_") and inner != "__init__":
            continue
        parameters = list(inspect.signature(function).parameters.values())
        bare = [p.name for p in parameters if p.annotation is p.empty and p.name not in SELF]
        returns = inspect.signature(function).return_annotation
        if bare or (returns is inspect.Signature.empty and inner not in UNTYPED):
            left.append((name, bare))
    assert left == []


SELF = ("self", "cls", "args", "kwargs")
UNTYPED = ("__init__", "call", "compute_output_shape", "compute_output_spec", "get_config")


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_messages_and_docstrings_are_plain_english(path):
    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    riddles = re.compile(r"\b(is|are|makes) no such|\b(is|are) none of|pool no such")
    assert [text for text in texts if riddles.search(text)] == []


def test_editors_and_help_know_all_names():
    assert {*cae.__all__, "study"} <= set(dir(cae))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(cae, "nothing")  # noqa: B009
    for module in pkgutil.iter_modules([str(PACKAGE)]):
        if module.name != "diagnose":  # the command, which bears a function's name
            assert import_module(f"cae_lessons.{module.name}")
