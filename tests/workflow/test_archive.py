"""Packed runs in the workflow: drawn and judged without training, beside a user's own."""

import shutil

import pandas as pd
from workflow.project import PARTS, ROOT, Project, write_config

from relax.experiments.archive.__main__ import main

ARCHIVE = ROOT / "config" / "archive.yaml"
ALWAYS = ["all", "provenance", "table_runs", "unpack"]
TRAINING = ["figure_0", "figure_3", "table_claims", "table_published", "table_learning_rates"]


def test_the_shipped_runs_are_drawn_without_training(tmp_path):
    """`snakemake --configfile config/archive.yaml`: figures and tables, and nothing else."""
    assert "archive" in PARTS
    planned = Project.fresh(tmp_path / "project").planned(config=ARCHIVE)
    assert {*ALWAYS, *TRAINING} <= set(planned)
    # Whatever else these runs allow, it is drawn or tabulated.
    others = set(planned) - {*ALWAYS, *TRAINING}
    assert not [job for job in others if not job.startswith(("figure_", "table_"))]


def test_a_user_packs_a_run_and_adds_it(built_copy, tmp_path):
    """Everything of the VAE and the policies is drawn from the tiny run's packed tables."""
    packed = built_copy.path / "packed" / "mine"
    results = built_copy.path / "results" / "tiny"
    assert main(["pack", str(results), str(packed)]) == 0
    config = write_config(tmp_path, {"archive.runs": ["packed/mine"], "preset": "again"})
    planned = built_copy.planned(config=config)
    figures = [f"figure_{number}" for number in (4, 5, 11, 12, 13)]
    tables = ["table_gradients", "table_midtraining", "table_rl", "table_rl_rates", "table_vae"]
    assert planned == sorted([*ALWAYS, *TRAINING, *figures, *tables])
    run = built_copy.snakemake("table_vae", "table_rl", "--cores", "1", config=config)
    assert run.returncode == 0, run.stdout
    for name in ("vae", "rl"):
        table, first = (
            pd.read_csv(built_copy.path / "results" / preset / "tables" / f"{name}.csv")
            for preset in ("again", "tiny")
        )
        # What only packed runs have: how long they were to be, and in what they differ.
        shared = [column for column in table if column not in ("planned", "settings")]
        pd.testing.assert_frame_equal(table[shared], first[shared], check_dtype=False)
    beside = write_config(tmp_path, {"archive.runs": ["mnist_nonlinear_rates", "packed/mine"]})
    assert "figure_3" in built_copy.planned(config=beside)


def test_a_damaged_run_stops_the_workflow(tmp_path):
    """The file is named; a folder that is none, before any job starts."""
    project = Project.fresh(tmp_path / "project")
    shutil.copytree(ROOT / "archive" / "mnist_nonlinear_rates", project.path / "mine")
    with open(project.path / "mine" / "training.csv.gz", "ab") as file:
        file.write(b"x")
    config = write_config(tmp_path, {"archive.runs": ["mine"]})
    run = project.snakemake("table_runs", "--cores", "1", config=config)
    assert run.returncode != 0
    assert "mine/training.csv.gz is damaged" in run.stdout
    config = write_config(tmp_path, {"archive.runs": ["theirs"]})
    run = project.snakemake("--dry-run", config=config)
    assert run.returncode != 0
    assert "archive.runs[0]: there is no packed run 'theirs'" in run.stdout
