"""Everything public in the library has types; `make lint` checks them."""

import ast

import pytest
from workflow.project import ROOT

from relax.runs.sources import imported_by, what_runs

PACKAGE = ROOT / "src" / "relax"
ROOMS = ("estimators", "relaxations", "surrogates", "exact", "numerics", "frontdoor")
FILES = sorted(path for room in ROOMS for path in (PACKAGE / room).glob("*.py"))


def untyped(tree):
    """Public functions, and methods of public classes, that leave out a type."""

    def look(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
                yield from look(child, f"{child.name}.")
            elif isinstance(child, ast.FunctionDef):
                if child.name.startswith("_") and child.name not in ("__init__", "__call__"):
                    continue
                a = child.args
                arguments = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
                static = any(ast.unparse(d) == "staticmethod" for d in child.decorator_list)
                arguments = arguments[1:] if inside and not static else arguments
                typed = all(argument.annotation for argument in arguments if argument)
                if not (typed and child.returns):
                    yield f"{inside}{child.name}"

    return list(look(tree, ""))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_public_functions_have_types(path):
    assert untyped(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_what_has_no_type_is_found():
    """The control."""
    source = (
        "class A:\n    def f(self, x: int): ...\ndef g(x) -> int: ...\ndef h(x: int) -> int: ..."
    )
    assert untyped(ast.parse(source)) == ["A.f", "g"]


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()


PLAIN = "import math\n\n\ndef f(x, *, y=1):\n    z = x\n    return math.cos(z)\n"
TYPED = """from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def f(x: Tensor, *, y: int = 1) -> float:
    z: Tensor = x
    return math.cos(z)
"""


def test_a_type_changes_no_result(tmp_path):
    """So that it reruns nothing; the control: a field of a class is more than its value."""

    def runs(source):
        path = tmp_path / str(len(list(tmp_path.iterdir()))) / "code.py"  # each is read once
        path.parent.mkdir()
        path.write_text(source, encoding="utf-8")
        return what_runs(path).text, imported_by(path, "code")

    assert runs(TYPED) == runs(PLAIN)
    assert runs("class A:\n    x: int = 1\n") != runs("class A:\n    x = 1\n")
    assert runs(PLAIN) != runs(PLAIN.replace("cos", "sin"))
