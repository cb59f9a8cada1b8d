"""One release number for package, citation, site and changes; the Pythons that are promised."""

import importlib.util
import re
import tomllib
from types import SimpleNamespace

import yaml
from workflow.project import ROOT

import relax

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_one_release_number():
    """Stated once, in the package; the others have it from there, or are held to it here."""
    assert PROJECT["project"]["dynamic"] == ["version"]
    attribute = PROJECT["tool"]["setuptools"]["dynamic"]["version"]
    assert attribute == {"attr": "relax.__version__"}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == relax.__version__
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+?),? ", changes, re.MULTILINE)[1] == relax.__version__
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    assert hooks.on_config(SimpleNamespace()).copyright.endswith(f" {relax.__version__}")


def test_the_promised_pythons_are_the_tested_ones():
    """Classifiers, `make test-pythons`, the installation and the workflow name the same."""
    classifiers = "\n".join(PROJECT["project"]["classifiers"])
    promised = re.findall(r"Python :: (3\.\d+)", classifiers)
    assert promised == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["project"]["requires-python"] == f">={promised[0]}"
    script = (ROOT / "envs" / "pythons.sh").read_text(encoding="utf-8")
    assert f"versions=({' '.join(promised)})" in script
    checks = (ROOT / ".github/workflows/checks.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(checks)["jobs"]["tests"]["strategy"]["matrix"]["python"] == promised
    install = (ROOT / "envs" / "install.sh").read_text(encoding="utf-8")
    assert all(f"python{version}" in install for version in promised)


def test_the_other_machinery_calls_targets_that_there_are():
    """Workflows and Dockerfile: every `make` of theirs is one of the Makefile's."""
    made = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)", made, re.MULTILINE)
    called = re.findall(
        r"\bmake ((?:[a-z-]+)|\.venv/\.installed)",
        "\n".join(
            line
            for path in (*(ROOT / ".github/workflows").glob("*.yml"), ROOT / "Dockerfile")
            for line in path.read_text(encoding="utf-8").splitlines()
            if re.search(r"run: |^RUN ", line)
        ),
    )
    weekly = yaml.safe_load((ROOT / ".github/workflows/weekly.yml").read_text(encoding="utf-8"))
    called += weekly["jobs"]["long"]["strategy"]["matrix"]["target"]
    assert {"lint", "docs", "test", "all", "test-faults"} <= set(called)
    assert set(called) <= {*phony.split(), ".venv/.installed"}
