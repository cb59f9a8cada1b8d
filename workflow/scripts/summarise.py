"""Summarise result tables, for people and for programs."""

from relax.jobs import job
from relax.summaries import SUMMARIES, rounded
from relax.tables import read_tables, write_markdown, write_table


def main(snakemake):
    with job(snakemake.log[0]):
        summary = snakemake.params.summary
        table = SUMMARIES[summary](read_tables(snakemake.input[summary]))
        write_table(table, snakemake.output.csv)
        write_markdown(rounded(table), snakemake.output.md)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
