"""Fetch one file of a data set: from the mirror, its address, or a local path."""

from relax.data.datasets import data_sets
from relax.data.downloads import fetch
from relax.runs.jobs import job


def main(snakemake):
    with job(snakemake.log[0]) as log:
        dataset, file = snakemake.wildcards.dataset, snakemake.wildcards.file
        source = data_sets(snakemake.config)[dataset]["files"][file]
        fetch(source, snakemake.output[0], snakemake.config["data"]["mirror"], log)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
