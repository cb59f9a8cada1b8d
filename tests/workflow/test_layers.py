"""Which way imports run, what stays light, and how thin the workflow's scripts are."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from graphlib import TopologicalSorter

import pandas as pd
import pytest
from workflow.project import ROOT

from relax.runs.sources import code_of, imported_by

PACKAGE = ROOT / "src" / "relax"
SCRIPTS = sorted((ROOT / "workflow" / "scripts").glob("*.py"))


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(name):
    """Full names of what a module imports, wherever in it."""
    return imported_by(MODULES[name], name)


# That a package runs before what is in it is Python's affair: an arrow to it says nothing.
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}
GRAPH = {
    name: sorted(set(imports(name)) & set(MODULES) - {n for n in PACKAGES if name.startswith(n)})
    for name in MODULES
}


def test_the_packages_of_a_named_module_are_among_its_sources():
    """Python runs them before it, whether or not anybody imports them by name."""
    assert {"relax", "experiments", "experiments.toy"} <= set(code_of("experiments.toy.problem"))


def test_the_package_has_no_circles():
    """Imports run one way, those inside functions too."""
    assert any(GRAPH.values())
    assert len(list(TopologicalSorter(GRAPH).static_order())) == len(MODULES)


# The library, that people take into their own models; and what stands on it.
LIBRARY = ("estimators", "relaxations", "surrogates", "exact", "numerics", "frontdoor")
HOUSE = ("experiments", "runs", "data", "presentation")


def rooms(*names):
    """The modules in these rooms."""
    return [m for m in MODULES if m.split(".")[1:2] and m.split(".")[1] in names]


def outside(name):
    """Top-level names of the packages that a module imports, beyond Python's own and this one."""
    return {n.split(".")[0] for n in imports(name)} - sys.stdlib_module_names - {"relax"}


def test_every_module_is_in_a_room():
    """Beside the rooms stand only what all of them share."""
    ground = {"relax", "relax.errors", "relax.files", "relax.__main__"}
    assert set(MODULES) - ground == set(rooms(*LIBRARY, *HOUSE))


def test_the_package_does_not_know_the_workflow():
    """Nothing in src/relax imports snakemake."""
    assert {name for name in MODULES if "snakemake" in outside(name)} == set()


def reached(name, seen):
    for other in GRAPH[name]:
        if other not in seen:
            seen.add(other)
            reached(other, seen)
    return seen


@pytest.mark.parametrize("name", rooms(*LIBRARY))
def test_the_library_stands_alone(name):
    """It knows none of the house, not even by way of what it imports, and needs torch and numpy."""
    assert not [other for other in reached(name, set()) if other.split(".")[1] in HOUSE]
    allowed = {"torch", "numpy"} | ON_USE.get(name.split(".")[1], set())
    assert outside(name) <= allowed


# Packages that a room may import inside its functions only.
ON_USE = {"exact": {"scipy"}, "frontdoor": {"pandas", "tqdm"}}


@pytest.mark.parametrize("name", rooms(*ON_USE))
def test_other_packages_load_on_use_only(name):
    """A library without them imports all the same."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {alias for node in top for alias in ast.unparse(node).replace(",", " ").split()}
    assert not imported & ON_USE[name.split(".")[1]]


def loaded_by(*modules):
    """Top-level names of what a fresh interpreter has loaded after importing these."""
    code = f"import sys, {', '.join(modules)}; print(*{{m.split('.')[0] for m in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.split())


def test_figures_summaries_and_claims_never_import_torch():
    """They read tables, and start fast."""
    kinds = ("figures", "summary", "claims", "selection")
    readers = rooms("presentation")
    readers += [m for m in rooms("experiments") if m.rpartition(".")[2].endswith(kinds)]
    assert len(readers) >= 15
    assert not [m for m in readers if "torch" in outside(m)]
    loaded = loaded_by(*readers, "relax.runs.provenance")
    assert "pandas" in loaded
    assert "torch" not in loaded


def test_what_the_snakefile_imports_is_light():
    """Every job parses the Snakefile again: nothing heavy may load with it."""
    files = [ROOT / "workflow" / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    found = {
        name
        for path in files
        for name in re.findall(
            r"^\s*(?:from|import)\s+(relax[\w.]*)", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert {
        "relax.runs.config",
        "relax.runs.sources",
        "relax.estimators.registry",
        "relax.data.datasets",
    } <= found
    heavy = {"torch", "pandas", "numpy", "seaborn", "matplotlib", "scipy", "sklearn", "requests"}
    assert loaded_by("relax", *sorted(found)) & heavy == set()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_are_thin(script):
    """25 lines or fewer, one function of one argument, and a call of it where Snakemake runs it."""
    source = script.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 25
    functions = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)]
    assert [f.name for f in functions] == ["main"]
    assert [argument.arg for argument in functions[0].args.args] == ["snakemake"]


class Named(dict):
    """Stands for Snakemake's named lists: by name, by attribute, or by place."""

    __getattr__ = dict.__getitem__

    def __getitem__(self, key):
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)


class Namespace:
    """Stands for the object that Snakemake hands to a script."""

    def __init__(self, threads=1, **parts):
        self.threads = threads
        for name in ("input", "output", "params", "wildcards", "config", "log"):
            setattr(self, name, Named(parts.get(name, {})))


def load_script(name):
    path = ROOT / "workflow" / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"script_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_scripts_run_without_snakemake(tmp_path):
    """Train, then summarise, with plain objects in Snakemake's place."""
    table, log = str(tmp_path / "table.csv"), str(tmp_path / "logs" / "job.log")
    choice = str(tmp_path / "choice.csv")
    train = Namespace(
        wildcards={"target": "0.45", "estimator": "relax", "first": "3", "last": "4"},
        params={"steps": 4, "record_every": 2, "variance_samples": 5, "surrogate": {"hidden": [2]}},
        output={"table": table},
        log={"log": log},
    )
    load_script("train_toy").main(train)
    train.params["costs"], train.output["table"] = [0.3, 0.1, 0.2], choice
    load_script("train_categorical_toy").main(train)
    rows = pd.read_csv(table)
    assert list(rows.seed) == [3, 3, 3, 4, 4, 4]
    assert list(rows.step) == [0, 2, 4] * 2
    with open(log, encoding="utf-8") as text:
        assert text.read().endswith("done\n")

    made = {kind: str(tmp_path / f"summary.{kind}") for kind in ("csv", "md")}
    summarise = Namespace(
        input={"toy": [table], "categorical": [choice]},
        params={"summary": "toy.summary"},
        output=made,
        log={"log": log},
    )
    load_script("summarise").main(summarise)
    assert list(pd.read_csv(made["csv"]).seeds) == [2, 2]


def test_on_a_cluster_figures_and_tables_are_made_where_snakemake_runs():
    """`use rule` passes on what a rule says, but that it is local: each has to say it again."""
    text = "\n".join(p.read_text("utf-8") for p in sorted(ROOT.glob("workflow/rules/*.smk")))
    blocks = re.split(r"^ *(?=(?:use )?rule \w+)", text, flags=re.MULTILINE)
    used = [block for block in blocks if re.match(r"use rule (figure_1|table_toy) as", block)]
    assert len(used) > 25
    assert [block.split()[4] for block in used if "localrule: True" not in block] == []


def test_a_script_says_what_went_wrong_in_one_line(tmp_path, capsys):
    """A user's mistake ends a script with status 1 and the message, in the log too."""
    log = tmp_path / "job.log"
    source = {"path": str(tmp_path / "mine.npz"), "sha256": "0" * 64}
    mine = {"format": "npz", "files": {"mine.npz": source}, "shape": [8, 8]}
    download = Namespace(
        wildcards={"dataset": "mine", "file": "mine.npz"},
        config={"data": {"mirror": None, "sets": {"mine": mine}}},
        output={"file": str(tmp_path / "data" / "mine.npz")},
        log={"log": str(log)},
    )
    with pytest.raises(SystemExit) as end:
        load_script("download_data").main(download)
    assert end.value.code == 1
    message = f"error: there is no file '{tmp_path / 'mine.npz'}'"
    assert capsys.readouterr().err.startswith(message)
    assert message in log.read_text(encoding="utf-8")
    assert not list((tmp_path / "data").iterdir())
