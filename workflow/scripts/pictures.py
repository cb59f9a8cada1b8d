"""Tabulate images, their reconstructions and samples of a trained model."""

from relax.data import load_images
from relax.jobs import job
from relax.problems.vae_pictures import pictures
from relax.problems.vae_trainer import VAESettings
from relax.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads):
        settings = VAESettings.of(snakemake.wildcards, snakemake.params)
        images = load_images(snakemake.input.images)
        table = pictures(settings, images, snakemake.input.best_model)
        write_table(table, snakemake.output.table)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
