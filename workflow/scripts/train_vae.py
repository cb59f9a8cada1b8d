"""Train a discrete VAE: one data set, model, estimator and learning rate, a range of seeds."""

from relax.data import load_images
from relax.jobs import job
from relax.problems.vae_training import VAESettings, train
from relax.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = VAESettings.of(snakemake.wildcards, snakemake.params)
        images = load_images(snakemake.input.images)
        steps = snakemake.params.checkpoint_steps
        paths = dict(zip(steps, snakemake.output.checkpoints, strict=True))
        training, best = train(settings, images, paths, snakemake.output.best_model, log)
        write_table(training, snakemake.output.table)
        write_table(best, snakemake.output.best)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
