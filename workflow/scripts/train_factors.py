"""Train Poisson factors of the digits by every estimator, and measure their variances."""

from relax.experiments.reparameterization.model import ModelSettings, train_and_measure
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = ModelSettings.of(snakemake.params)
        training, variances = train_and_measure(settings, log)
        write_table(training, snakemake.output.training)
        write_table(variances, snakemake.output.variances)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
