"""Train one estimator on the user's own cost, for a range of seeds."""

from relax.experiments.own.problem import OwnSettings, train_own
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = OwnSettings.of(snakemake.wildcards, snakemake.params, snakemake.input.file)
        write_table(train_own(settings, log), snakemake.output.table)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
