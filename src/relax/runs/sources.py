"""What a result depends on in the package: modules by their imports, and what their code says.

The workflow gives each rule, as a parameter, a digest of every module that it depends on. So an
edit of code reruns what depends on it and nothing else; an edit of a comment, of a docstring, of a
type hint or of the layout reruns nothing. The registry loads estimators by name, which no import
statement shows: a rule names the estimators that it uses. Light to import: every job does it again.
"""

import ast
import hashlib
import os
from functools import cache
from importlib import metadata
from pathlib import Path

from relax.errors import ConfigError

# Resolved: jobs in an environment of conda's find the package by a link beside their scripts.
PACKAGE = Path(__file__).resolve().parents[1]
REGISTRY_MODULE = "relax.estimators.registry"
# Packages whose versions may move a number; the others draw, download or start jobs.
COMPUTING = ("torch", "numpy", "scipy", "pandas", "scikit-learn", "gymnasium")


def share_with_jobs():
    """Make the package importable in every process started from this one, installed or not.

    Raises:
        ConfigError: the path has the character that separates paths: jobs would load other code.
    """
    here = str(PACKAGE.parent)
    if os.pathsep in here:
        raise ConfigError(
            f"the project lies in {here}, and jobs cannot be given a path with '{os.pathsep}' in "
            f"it: move it to a folder without"
        )
    paths = [here, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))


def imported_by(path, module):
    """Full names of what a file imports, wherever in it, sorted.

    Of `from a import b` these are a and a.b, as b may be a module; a relative import is resolved
    against `module`, the file's own name. Importing a.b runs a too, so parents are among them.

    Args:
        path: the file.
        module: its dotted name; a package is called by the name of its folder.
    """
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(what_runs(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*(parts if node.level else []), *filter(None, [node.module])])
            found.update([base, *(f"{base}.{alias.name}" for alias in node.names)])
    parents = {
        ".".join(name.split(".")[:end]) for name in found for end in range(1, name.count(".") + 1)
    }
    return sorted(found | parents)


def modules_behind(*modules, without=()):
    """These modules of `relax` and all of it that they import, directly or not, sorted."""
    seen, todo = set(), list(modules)
    while todo:
        module = todo.pop()
        if module not in seen and module not in without:
            seen.add(module)
            todo += _own_imports(module)
    return sorted(seen)


def code_of(*modules):
    """{module: digest of what its code says}, of these modules and everything that they import.

    The registry is left out unless it is named: what a run takes from it, its rule names.

    Args:
        modules: names within `relax`, as "experiments.toy.problem".
    """
    named = [f"relax.{module}" for module in modules]
    without = {REGISTRY_MODULE} - set(named)
    return {
        module.removeprefix("relax."): _digest(module)
        for module in modules_behind(*named, without=without)
    }


@cache
def versions():
    """Versions of the installed packages that results are computed with; part of what they are."""
    return {name: version_of(name) for name in COMPUTING}


def version_of(package):
    """The installed version of a package, as text."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def path_of(module):
    """The file of a module of `relax`, or None where there is no such module."""
    stem = PACKAGE.joinpath(*module.split(".")[1:])
    file = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
    return file if file.exists() else None


@cache
def _own_imports(module):
    parts = module.split(".")
    parents = [".".join(parts[:end]) for end in range(1, len(parts))]
    names = [*imported_by(path_of(module), module), *parents]
    return [n for n in names if n.split(".")[0] == "relax" and path_of(n)]


@cache
def what_runs(path):
    """The tree of what a file's code does: without docstrings, and types that nothing reads.

    Read once a process: both what a module imports and what it says are taken from it.
    """
    tree = _Running().visit(ast.parse(path.read_text(encoding="utf-8")))
    for node in ast.walk(tree):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


class _Running(ast.NodeTransformer):
    """Takes out of a tree what says the types of arguments and does nothing when it runs."""

    def visit_If(self, node):
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)

    def visit_ImportFrom(self, node):
        node.names = [alias for alias in node.names if alias.name != "TYPE_CHECKING"]
        return node if node.names and node.module != "__future__" else None

    def visit_FunctionDef(self, node):
        node.returns = None
        node.body = [_plain(statement) for statement in node.body]
        return self.generic_visit(node)

    def visit_arg(self, node):
        node.annotation = None
        return node


def _plain(statement):
    """A function's `x: int = 1` as `x = 1`; fields of classes say more with their types."""
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        statement = ast.Assign(targets=[statement.target], value=statement.value)
    return statement


@cache
def _digest(module):
    """Twelve digits that change with what the code does: not with comments, docstrings, layout."""
    return hashlib.sha256(ast.dump(what_runs(path_of(module))).encode()).hexdigest()[:12]
