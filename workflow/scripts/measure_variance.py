"""Measure every estimator's gradient variance at the checkpoints of one training run."""

from relax.data.images import load_images
from relax.experiments.vae.trainer import VAESettings
from relax.experiments.vae.variance import MeasureSettings, measure_variance
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = VAESettings.of(snakemake.wildcards, snakemake.params, [MeasureSettings])
        measure = MeasureSettings.of(snakemake.params)
        images, device = load_images(snakemake.input.images), snakemake.config["device"]
        paths = snakemake.input.checkpoints
        table = measure_variance(settings, measure, images, paths, log, device)
        write_table(table, snakemake.output.table)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
