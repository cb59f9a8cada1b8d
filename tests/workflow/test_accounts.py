"""A cluster's account with a number in it: as docs/cluster.md writes it, it arrives as written."""

import re
import subprocess
import sys

import pytest
from workflow.project import ROOT

PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
RULE = 'rule a:\n    output: "a.txt"\n    shell: "touch {output}"\n'


@pytest.fixture
def account(tmp_path):
    """What Snakemake makes of an account, given with these words."""
    (tmp_path / "Snakefile").write_text(RULE, encoding="utf-8")

    def read(*words):
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", *words]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return re.search(r"resources: .*slurm_account=([^,\n]*)", run.stdout + run.stderr)[1]

    return read


def test_the_documented_accounts_arrive(account, tmp_path):
    """In a profile and on the command line; the control: without quotes it is a subtraction."""
    (block,) = re.findall(r"```yaml\n(default-resources:.*?)```", PAGE, re.DOTALL)
    assert "2024-45" in block
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "config.yaml").write_text(block, encoding="utf-8")
    assert account("--profile", "profile") == "2024-45"
    (words,) = re.findall(r'--default-resources "(slurm_account=[^"]*)"', PAGE)
    assert account("--default-resources", words) == "2024-45"
    assert account("--default-resources", "slurm_account=2024-45") == "1979"
