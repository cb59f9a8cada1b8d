"""Measure the estimators of a Gamma latent by quadrature, while their surrogates are learned."""

from relax.experiments.reparameterization.problem import GammaSettings, measure
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = GammaSettings.of(snakemake.params)
        write_table(measure(settings, log), snakemake.output.costs)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
