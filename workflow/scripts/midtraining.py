"""Optimise the gradient's variance alone, at a checkpoint halfway through a training run."""

from relax.data import load_images
from relax.jobs import job
from relax.problems.vae_midtraining import MidtrainingSettings, optimise_variance
from relax.problems.vae_trainer import VAESettings
from relax.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = VAESettings.of(snakemake.wildcards, snakemake.params)
        midtraining = MidtrainingSettings.of(snakemake.params)
        images, device = load_images(snakemake.input.images), snakemake.config["device"]
        path = snakemake.input.checkpoint
        table = optimise_variance(settings, midtraining, images, path, log, device)
        write_table(table, snakemake.output.table)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
