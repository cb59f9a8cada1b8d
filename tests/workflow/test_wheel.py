"""The library alone: its wheel, where there are torch and numpy and nothing else of weight."""

import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from workflow.project import ROOT

# Takes every estimator of the library through one estimate, where only torch and numpy are.
USE = """
import sys

import torch

import relax
from relax.estimators.registry import REGISTRY

generators = relax.parameter_generators([0])
logits = torch.zeros(1, 6, 3, dtype=torch.float64)
spec = relax.SurrogateSpec(latents=3)
for name, entry in REGISTRY.items():
    estimator = relax.load_estimator(name)
    if "toy" in entry.sections and "bernoulli" in entry.kinds:
        surrogate = estimator.surrogate(spec, generators)
        rows = estimator.samples(spec) * logits.shape[1]
        noise = relax.Noise(relax.uniform_noise([0], "noise", 0, (rows, 3)))
        estimate = estimator.estimate(surrogate, lambda b: b.square().sum(-1), logits, noise)
        assert estimate.gradient.shape == logits.shape, name
heavy = {"pandas", "scipy", "yaml", "matplotlib", "snakemake", "sklearn", "requests"}
assert not heavy & set(sys.modules)
print("used", relax.__version__)
"""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def with_what_it_needs(name, found):
    """Names of a distribution and of all that it requires, without extras."""
    if name not in found:
        found.add(name)
        for line in metadata.requires(name) or []:
            needs, _, marker = line.partition(";")
            other = re.split(r"[=<>!~\[( ]", needs.strip())[0]
            if not marker or "extra" not in marker:
                try:
                    metadata.version(other)
                except metadata.PackageNotFoundError:  # for another system
                    continue
                with_what_it_needs(other, found)
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: building leaves folders beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "project"
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*pip, "--wheel-dir", str(folder), str(copy))
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_needs_torch_and_numpy(wheel):
    """Everything else is an extra."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        text = archive.read(path).decode()
        assert "relax/data/datasets.yaml" in archive.namelist()
    needs = re.findall(r"^Requires-Dist: (.*)$", text, re.MULTILINE)
    plain = {re.split(r"[=<>]", line)[0] for line in needs if "extra ==" not in line}
    assert plain == {"numpy", "torch"}
    assert set(re.findall(r"^Provides-Extra: (.*)$", text, re.MULTILINE)) >= {"pipeline", "rl"}


def test_the_wheel_works_beside_torch_and_numpy_alone(wheel, tmp_path):
    """Installed without its extras into an environment that holds nothing else of weight."""
    run(sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv"))
    (site,) = (tmp_path / "venv").rglob("site-packages")
    for name in with_what_it_needs("torch", {"numpy"}):
        for file in metadata.distribution(name).files or []:
            top = file.parts[0]
            source = Path(metadata.distribution(name).locate_file(top))
            if top not in ("..", "__pycache__") and not (site / top).exists():
                (site / top).symlink_to(source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run(*pip, "--no-compile", "--target", str(site), str(wheel))
    python = str(tmp_path / "venv" / "bin" / "python")
    assert run(python, "-I", "-c", USE, cwd=tmp_path).startswith("used ")
    without = subprocess.run(
        [python, "-I", "-c", "import pandas"], capture_output=True, check=False
    )
    assert without.returncode != 0  # the environment is as empty as it says
