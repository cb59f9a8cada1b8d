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
        write_table(train(settings, images, paths, log), snakemake.output.table)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
