"""Note what the results were made with, and how long that took."""

from pathlib import Path

from relax.runs.jobs import job
from relax.runs.provenance import provenance
from relax.runs.tables import write_markdown, write_table


def main(snakemake):
    with job(snakemake.log[0]):
        results = Path(snakemake.output.csv).parents[1]
        table = provenance(snakemake.config, results, snakemake.input.made)
        write_table(table, snakemake.output.csv)
        write_markdown(table, snakemake.output.md)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
