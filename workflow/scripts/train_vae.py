"""Train a discrete VAE: one data set, model, estimator and learning rate, a range of seeds."""

from relax.data import load_images
from relax.jobs import job
from relax.problems.vae_training import VAESettings, train
from relax.resume import Unfinished
from relax.tables import write_table


def main(snakemake):
    inputs, out, params = snakemake.input, snakemake.output, snakemake.params
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = VAESettings.of(snakemake.wildcards, params)
        paths = dict(zip(params.checkpoint_steps, out.checkpoints, strict=True))
        seconds = snakemake.config["vae"]["save_every"]  # no param: no result depends on it
        run = (settings, list(paths))
        with Unfinished.beside(out.table, run, list(inputs), seconds, log) as unfinished:
            images = load_images(inputs.images)
            tables = train(settings, images, paths, out.best_model, log, unfinished)
            write_table(tables[0], out.table)
            write_table(tables[1], out.best)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
