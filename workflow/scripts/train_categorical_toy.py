"""Train the categorical toy: one estimator, a range of seeds."""

from relax.experiments.toy.categorical import CategoricalSettings
from relax.experiments.toy.problem import train
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = CategoricalSettings.of(snakemake.wildcards, snakemake.params)
        write_table(train(settings, log), snakemake.output.table)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
