"""The VAE with categorical latents, through the workflow."""

import pandas as pd
from workflow.project import ROOT, Project, write_config

from relax.runs.checkpoints import load_checkpoint

CHANGES = {
    "preset": "choices",
    "vae.latent_kind": "categorical",
    "vae.latents": 3,
    "vae.outcomes": 4,
    "vae.estimators": ["rebar"],
}


def test_its_table_and_figure(tmp_path):
    """One setting; the table and the figure say what the latents are."""
    project = Project.fresh(tmp_path / "project")
    config = write_config(tmp_path, CHANGES)
    run = project.snakemake("table_vae", "figure_3", "--cores", "2", config=config)
    assert run.returncode == 0, run.stdout
    results = project.path / "results" / "choices"
    table = pd.read_csv(results / "tables/vae.csv")
    assert table.latents.tolist() == ["3 x 4"]
    figure = project.path / "figures/choices/fig3_vae_training.svg"
    assert figure.exists()
    folder = results / "vae/digits/linear1/rebar/lr0.001/seeds0-1"
    tensors = load_checkpoint(folder / "checkpoint_12.pt")
    assert tensors["model.prior_logits"].shape == (2, 1, 12)


def test_the_preset_leaves_its_vae_out_of_the_benchmark(tmp_path):
    """What the benchmark measures biases from is for bits: its figures are of the toys alone."""
    project = Project.fresh(tmp_path / "project")
    planned = project.planned(config=ROOT / "config" / "categorical.yaml")
    assert not [job for job in planned if "benchmark_vae" in job]
    assert planned.count("benchmark_toys") == 4
    assert {"figure_14", "figure_15", "table_estimators"} <= set(planned)


def test_its_benchmark_ends(tmp_path):
    """Also where nothing that is trained fits the categorical toy."""
    project = Project.fresh(tmp_path / "project")
    config = write_config(tmp_path, CHANGES | {"benchmark.training": ["disarm", "arms"]})
    targets = ("figure_14", "figure_15", "table_estimators", "claims_benchmark")
    run = project.snakemake(*targets, "--cores", "2", config=config)
    assert run.returncode == 0, run.stdout
    results = project.path / "results" / "choices"
    toys = {"t = 0.45", "one choice among 3", "5 latents, t = 0.499"}
    assert set(pd.read_csv(results / "tables/estimators.csv").problem) == toys
    assert pd.read_csv(results / "benchmark/categorical/training.csv").empty
    assert set(pd.read_csv(results / "benchmark/many/training.csv").estimator) == {"disarm", "arms"}
