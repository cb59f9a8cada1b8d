"""Tune a relaxation at a fixed θ, and tabulate it over the noise u."""

from relax.experiments.toy.problem import ToySettings, tune_relaxations
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = ToySettings.of(snakemake.wildcards, snakemake.params)
        table = tune_relaxations(settings, snakemake.params.theta, log=log)
        write_table(table, snakemake.output.table)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
