"""One problem without images: every estimator measured, trained and timed."""

from relax.experiments.benchmark.toys import ToySettings, measure_toys, time_toys, train_toys
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = ToySettings.of(snakemake.wildcards, snakemake.params)
        write_table(measure_toys(settings, log), snakemake.output.variance)
        write_table(train_toys(settings, log), snakemake.output.training)
        write_table(time_toys(settings), snakemake.output.seconds)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
