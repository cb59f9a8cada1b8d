"""Train a discrete VAE: one data set, model and estimator, its learning rates, a range of seeds."""

from relax.data.images import load_images
from relax.experiments.vae.compiled import device_and_step
from relax.experiments.vae.trainer import VAESettings
from relax.experiments.vae.training import by_step, train
from relax.runs.jobs import job
from relax.runs.resume import Unfinished
from relax.runs.tables import write_parts


def main(snakemake):
    out, params, save = snakemake.output, snakemake.params, snakemake.config["vae"]["save_every"]
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = VAESettings.of(snakemake.wildcards, params, ["checkpoint_steps"], out.tables)
        how = device_and_step(snakemake.config, settings, log)
        run = (settings, params.checkpoint_steps, params.code, *map(str, how))
        with Unfinished.beside(out.tables[0], run, snakemake.input, save, log) as state:
            paths = by_step(params.checkpoint_steps, out.checkpoints), list(out.models)
            tables = train(settings, load_images(snakemake.input[0]), *paths, log, state, *how)
            write_parts(tables, "learning_rate", [out.tables, out.best])


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
