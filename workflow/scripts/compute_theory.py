"""Compute the tables of the optimal relaxation, one latent and two."""

from relax.experiments.theory.tables import TheorySettings, all_tables
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = TheorySettings.of(snakemake.params)
        for name, table in all_tables(settings, log).items():
            write_table(table, snakemake.output[name])


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
