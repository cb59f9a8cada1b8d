"""Train a policy: one task, estimator and pair of learning rates, a range of seeds."""

from relax.experiments.control.training import ControlSettings, train
from relax.runs.jobs import job
from relax.runs.resume import Unfinished
from relax.runs.tables import write_table


def main(snakemake):
    out = snakemake.output
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = ControlSettings.of(snakemake.wildcards, snakemake.params.environment)
        seconds = snakemake.config["rl"]["save_every"]  # no param: no result depends on it
        run = (settings, snakemake.params.code)
        with Unfinished.beside(out.table, run, snakemake.input.files, seconds, log) as unfinished:
            training, shown = train(settings, out.policy, log, unfinished)
            write_table(training, out.table)
            write_table(shown, out.shown)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
