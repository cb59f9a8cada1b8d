"""The workflow as a module of another workflow, from another folder."""

import pandas as pd
import pytest
import yaml
from workflow.project import ROOT, Project

OTHER = """
configfile: "theirs.yaml"


module rx:
    snakefile:
        {snakefile!r}
    config:
        config["rx"]


use rule * from rx as rx_*


rule theirs:
    default_target: True
    input:
        rules.rx_table_toy.output.csv,
"""
SETTINGS = {
    "preset": "theirs",
    "toy": {
        "targets": [0.45],
        "estimators": ["reinforce"],
        "seeds": 2,
        "seeds_per_job": 2,
        "steps": 20,
        "record_every": 10,
        "variance_samples": 10,
        "categorical": {"steps": 20, "record_every": 10},
    },
}


@pytest.fixture
def other(tmp_path):
    """Runs another workflow, in a folder of its own, with these settings for this one."""

    def run(*arguments, **settings):
        snakefile = str(ROOT / "workflow" / "Snakefile")
        (tmp_path / "Snakefile").write_text(OTHER.format(snakefile=snakefile), encoding="utf-8")
        (tmp_path / "theirs.yaml").write_text(yaml.safe_dump({"rx": SETTINGS | settings}))
        return Project(tmp_path).snakemake("--cores", "1", *arguments, config=None)

    return run


def test_a_table_of_ours_is_an_input_of_theirs(other, tmp_path):
    """With that workflow's configuration, which overrides this one's default preset."""
    run = other()
    assert run.returncode == 0, run.stdout
    table = pd.read_csv(tmp_path / "results/theirs/tables/toy.csv")
    assert set(table.estimator) == {"reinforce"}
    assert "Nothing to be done" in other("--dry-run").stdout


def test_their_mistakes_are_named(other):
    run = other("--dry-run", toy={"stepz": 5})
    assert run.returncode != 0
    assert "toy.stepz: unknown key; did you mean 'steps'?" in run.stdout
