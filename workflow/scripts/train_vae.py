"""Train a discrete VAE: one data set, model, estimator and learning rate, a range of seeds."""

from pathlib import Path

from relax.data import load_images
from relax.jobs import job
from relax.problems.vae_training import VAESettings, train
from relax.resume import Unfinished, identity
from relax.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = VAESettings.of(snakemake.wildcards, snakemake.params)
        images = load_images(snakemake.input.images)
        steps = snakemake.params.checkpoint_steps
        paths = dict(zip(steps, snakemake.output.checkpoints, strict=True))
        folder = Path(snakemake.output.table).with_name("unfinished")
        run = identity(settings, steps, files=[snakemake.input.images, *snakemake.input.code])
        # How often it saves has no bearing on the result, so the rule's params do not have it.
        unfinished = Unfinished(folder, run, snakemake.config["vae"]["save_every"], log)
        best_model = snakemake.output.best_model
        training, best = train(settings, images, paths, best_model, log, unfinished)
        write_table(training, snakemake.output.table)
        write_table(best, snakemake.output.best)
        unfinished.remove()


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
