"""Train a VAE with one estimator and one number of samples, for the comparison at equal cost."""

from relax.data.images import load_images
from relax.experiments.benchmark.vae_training import train_variant
from relax.experiments.vae.trainer import VAESettings
from relax.numerics.devices import choose
from relax.runs.jobs import job
from relax.runs.resume import Unfinished
from relax.runs.tables import write_table


def main(snakemake):
    params, out = snakemake.params, snakemake.output.table
    with job(snakemake.log[0], snakemake.threads) as log:
        device = choose(snakemake.config["device"])
        settings = VAESettings.of(snakemake.wildcards, params)
        run, save = (settings, params.code, str(device)), snakemake.config["vae"]["save_every"]
        with Unfinished.beside(out, run, snakemake.input, save, log) as state:
            images = load_images(snakemake.input.images)
            write_table(train_variant(settings, images, log, state, device), out)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
