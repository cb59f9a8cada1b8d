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
from typing import NamedTuple

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
    for node in what_runs(path).imports:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        else:
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


class Running(NamedTuple):
    """What a file's code does: its tree as `ast.dump` writes it, and its import statements."""

    text: str
    imports: list[ast.Import | ast.ImportFrom]


@cache
def what_runs(path):
    """What a file's code does: without docstrings, and types that nothing reads.

    In one walk, once a process: every start of Snakemake asks it of the whole package.
    """
    imports = []
    return Running(_told(ast.parse(path.read_text(encoding="utf-8")), imports), imports)


def _told(node, imports):
    """`ast.dump` of what runs of a node; its import statements are added to the list."""
    kind = type(node)
    if kind in _SHORT:
        return _SHORT[kind](node)
    if kind is ast.Import or kind is ast.ImportFrom:
        imports.append(node)
    said = []
    for field in kind._fields:
        if (kind, field) in _TYPES:
            continue
        value = getattr(node, field)
        if field == "body" and kind in _BLOCKS:
            value = _without_words(value, kind)
        if isinstance(value, list):
            parts = [_told(v, imports) if isinstance(v, ast.AST) else repr(v) for v in _run(value)]
            said.append(f"{field}=[{', '.join(parts)}]")
        elif isinstance(value, ast.AST):
            said.append(f"{field}={_told(value, imports)}")
        elif value is not None or getattr(kind, field, ...) is not None:
            said.append(f"{field}={value!r}")
    return f"{kind.__name__}({', '.join(said)})"


_BLOCKS = {ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef}
_TYPES = {(ast.FunctionDef, "returns"), (ast.arg, "annotation")}
# Most nodes by far are of these.
_SHORT = {
    ast.Load: lambda node: "Load()",
    ast.Name: lambda node: f"Name(id={node.id!r}, ctx={type(node.ctx).__name__}())",
}


def _run(nodes):
    """Of a list of nodes those that do something, and not for types alone."""
    for node in nodes:
        if isinstance(node, ast.If):
            if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                continue
        elif isinstance(node, ast.ImportFrom):
            node.names = [alias for alias in node.names if alias.name != "TYPE_CHECKING"]
            if not node.names or node.module == "__future__":
                continue
        yield node


def _without_words(body, kind):
    """A block without its docstring; a function's `x: int = 1` in it as `x = 1`.

    Fields of classes say more with their types.
    """
    body = list(_run(body))
    if kind is ast.FunctionDef:
        body = [_plain(statement) for statement in body]
    first = getattr(body[0], "value", None) if body and isinstance(body[0], ast.Expr) else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return body[1:] or [ast.Pass()]
    return body


def _plain(statement):
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        return ast.Assign([statement.target], statement.value, None)
    return statement


@cache
def _digest(module):
    """Twelve digits that change with what the code does: not with comments, docstrings, layout."""
    return hashlib.sha256(what_runs(path_of(module)).text.encode()).hexdigest()[:12]
