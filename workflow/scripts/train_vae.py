"""Train a discrete VAE: one data set, model and estimator, its learning rates, a range of seeds."""

from relax.data.images import load_images
from relax.experiments.vae.trainer import VAESettings
from relax.experiments.vae.training import train
from relax.runs.jobs import job
from relax.runs.resume import Unfinished
from relax.runs.tables import write_parts


def main(snakemake):
    inputs, out, config = snakemake.input, snakemake.output, snakemake.config
    steps, seconds = snakemake.params.checkpoint_steps, config["vae"]["save_every"]
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = VAESettings.of(snakemake.wildcards, snakemake.params)
        paths = {step: list(out.checkpoints[i :: len(steps)]) for i, step in enumerate(steps)}
        with Unfinished.beside(out.tables[0], (settings, steps), inputs, seconds, log) as state:
            images, device = load_images(inputs.images), config["device"]
            tables = train(settings, images, paths, list(out.models), log, state, device)
            write_parts(tables[0], "learning_rate", out.tables)
            write_parts(tables[1], "learning_rate", out.best)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
