"""Prepare a data set from its files."""

from relax.data.preparation import prepare
from relax.runs.jobs import job


def main(snakemake):
    with job(snakemake.log[0]):
        prepare(
            snakemake.wildcards.dataset,
            snakemake.params.declaration,
            snakemake.input.files,
            snakemake.output.images,
        )


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
