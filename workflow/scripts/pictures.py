"""Tabulate images, their reconstructions and samples of a trained model."""

from relax.data.images import load_images
from relax.experiments.vae.pictures import pictures
from relax.experiments.vae.trainer import VAESettings
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads):
        settings = VAESettings.of(snakemake.wildcards, snakemake.params)
        images = load_images(snakemake.input.images)
        table = pictures(settings, images, snakemake.input.best_model)
        write_table(table, snakemake.output.table)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
