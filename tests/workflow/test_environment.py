"""The pinned environments: `make` and conda install the same versions."""

import re
import tomllib
from importlib.metadata import version

import pytest
import yaml
from workflow.project import ROOT

from relax.runs.provenance import PACKAGES

ENVS = ROOT / "envs"


def lines(name):
    text = (ENVS / name).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]


def canonical(name):
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed():
    """Names in pyproject.toml, by the extra that brings them; `library`: without any."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    parts = {"library": project["dependencies"]} | project["optional-dependencies"]
    return {
        part: [re.split(r"[=<>\[]", line)[0] for line in wanted] for part, wanted in parts.items()
    }


PINS = dict(line.split("==") for line in lines("requirements.lock"))
VERSIONS = {canonical(name): pin for name, pin in PINS.items()}


def test_every_line_of_the_lock_is_one_pin():
    """Name and exact version, once each, from no particular index."""
    for line in lines("requirements.lock"):
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line
    assert len(VERSIONS) == len(lines("requirements.lock")) > 20


def test_every_pin_but_torch_has_its_hashes():
    """The same versions as the lock, and SHA-256 of each file that the index has of them."""
    entries = (ENVS / "requirements.hashes").read_text(encoding="utf-8").replace("\\\n", " ")
    hashed = {}
    for entry in entries.splitlines()[1:]:
        pin, *hashes = entry.split()
        assert hashes, pin
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes), pin
        name, hashed_version = pin.split("==")
        hashed[canonical(name)] = hashed_version
    assert hashed | {"torch": VERSIONS["torch"]} == VERSIONS


def test_conda_file_holds_the_same_pins():
    """The file that the rules name, and the lock that `make` installs."""
    conda = yaml.safe_load((ENVS / "relax.yaml").read_text(encoding="utf-8"))
    (pip,) = [part["pip"] for part in conda["dependencies"] if isinstance(part, dict)]
    assert pip == lines("requirements.lock")
    assert "python=3.11" in conda["dependencies"]


def test_every_direct_requirement_is_pinned():
    """requirements.in and pyproject.toml name nothing that the lock leaves open."""
    wanted = [re.split(r"[=<>\[ ]", line)[0] for line in lines("requirements.in")]
    wanted += [name for names in needed().values() for name in names]
    assert len(wanted) > 20
    assert {name for name in wanted if canonical(name) not in VERSIONS} == set()


def test_the_provenance_names_every_direct_requirement():
    """What the library, the experiments and the workflow import, and what runs it."""
    run = ("library", "pipeline", "rl")
    assert {name for part in run for name in needed()[part]} == set(PACKAGES)


def test_torch_is_the_chosen_version():
    """The results in the README were made with it."""
    assert VERSIONS["torch"] == "2.13.0"
    assert "torch==2.13.0" in lines("requirements.in")


def test_tests_run_in_the_pinned_environment():
    """What is installed here is what is pinned, where it was installed by `make`."""
    if not (ROOT / ".venv" / ".installed").exists():
        pytest.skip("the environment was not made by `make`: its versions are its owner's")
    # A build's tag, as "+cpu", is the index's affair.
    assert {name: version(name).split("+")[0] for name in PINS} == PINS
