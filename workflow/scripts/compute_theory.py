"""Compute the tables of the optimal relaxation, one latent and two."""

from relax.jobs import job
from relax.problems import theory
from relax.problems.equations import equations
from relax.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        settings = theory.TheorySettings.of(snakemake.params)
        curves, terms = theory.relaxations(settings, log=log)
        tables = {
            "optimum": theory.optimum(settings),
            "concrete": theory.concrete(settings),
            "relaxations": curves,
            "terms": terms,
            "eta": theory.eta(settings, log),
            "latents": theory.latents(settings, log),
            "equations": equations(settings),
        }
        for name, table in tables.items():
            write_table(table, snakemake.output[name])


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
