"""The VAE with categorical latents, through the workflow."""

import pandas as pd
from workflow.project import Project, write_config

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
