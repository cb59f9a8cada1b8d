"""Every estimator at the same checkpoints of a VAE, and on its multi-sample bound."""

from relax.data.images import load_images
from relax.experiments.benchmark.vae import MeasureSettings, measure_vae, time_vae
from relax.experiments.vae.trainer import VAESettings
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = VAESettings.of(snakemake.wildcards, snakemake.params, [MeasureSettings])
        measure = MeasureSettings.of(snakemake.params)
        images, device = load_images(snakemake.input.images), snakemake.config["device"]
        paths = snakemake.input.checkpoints
        table = measure_vae(settings, measure, images, paths, log, device)
        write_table(table, snakemake.output.variance)
        write_table(time_vae(settings, measure, images), snakemake.output.seconds)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
