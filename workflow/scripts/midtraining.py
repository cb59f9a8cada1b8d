"""Optimise the gradient's variance alone, at a checkpoint halfway through a training run."""

from relax.data.images import load_images
from relax.experiments.vae.midtraining import MidtrainingSettings, halfway
from relax.experiments.vae.trainer import VAESettings
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = VAESettings.of(snakemake.wildcards, snakemake.params, [MidtrainingSettings])
        midtraining = MidtrainingSettings.of(snakemake.params)
        images, device = load_images(snakemake.input.images), snakemake.config["device"]
        path = snakemake.input.checkpoint
        for name, table in halfway(settings, midtraining, images, path, log, device).items():
            write_table(table, snakemake.output[name])


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
