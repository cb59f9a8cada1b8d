"""Which files of the package a module depends on, by reading its imports. Light to import.

The workflow declares these files as inputs of its rules, so that editing one of them reruns what
depends on it and nothing else. The registry loads estimators by name, which no import statement
shows: a rule adds the estimators that it uses itself.
"""

import ast
import os
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def share_with_jobs():
    """Make the package importable in every process started from this one, installed or not."""
    paths = [str(PACKAGE.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))


def package_sources(*modules):
    """Paths of these modules of `relax` and of everything in it that they import, sorted.

    The registry is left out unless it is named: a new line in it, or a new label, changes no
    result. What a run takes from it (the estimator's file, the keys that it reads) the rules name.
    """
    seen, todo = set(), list(modules)
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += _imports(module)
    return sorted(
        str(_path(module)) for module in seen - ({"relax.estimators.registry"} - set(modules))
    )


def _path(module):
    stem = PACKAGE.joinpath(*module.split(".")[1:])
    return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")


@cache
def _imports(module):
    found = []
    for node in ast.walk(ast.parse(_path(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("relax."):
            found.append(node.module)
        elif isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.startswith("relax.")]
    return found
