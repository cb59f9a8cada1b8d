"""`--sdm conda`: jobs run in the environment that their rules name, and find the package there."""

import os
import subprocess
import sys
from pathlib import Path

import yaml
from workflow.project import ROOT, Project

STAND_IN = Path(__file__).with_name("conda_stand_in.py")
TARGET = "results/tiny/toy/t0.45/reinforce/seeds0-1.csv"


def test_jobs_find_the_package_in_an_environment_of_conda(tmp_path):
    """Snakemake takes PYTHONPATH away there, and the environment has no `relax` in it."""
    conda = tmp_path / "conda"
    subprocess.run([sys.executable, STAND_IN, conda], check=True)
    project = Project.fresh(tmp_path / "project")
    environment = {"PATH": f"{conda}/bin:{os.environ['PATH']}"}
    run = project.snakemake(TARGET, "--cores", "1", "--sdm", "conda", environment=environment)
    assert run.returncode == 0, run.stdout
    assert (project.path / TARGET).is_file()
    assert "Activating conda environment" in run.stdout
    made = yaml.safe_load((conda / "made.txt").read_text(encoding="utf-8"))
    assert made == yaml.safe_load((ROOT / "envs" / "relax.yaml").read_text(encoding="utf-8"))
    (environment_made,) = (project.path / ".snakemake" / "conda").glob("*_")
    alone = [environment_made / "bin" / "python", "-c", "import torch, relax"]
    shell = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    refused = subprocess.run(
        alone, cwd=tmp_path, env=shell, capture_output=True, text=True, check=False
    )
    assert "No module named 'relax'" in refused.stderr
