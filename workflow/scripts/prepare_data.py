"""Prepare a data set."""

from relax.data import prepare
from relax.jobs import job


def main(snakemake):
    with job(snakemake.log[0]):
        prepare(snakemake.wildcards.dataset, snakemake.output.images)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
