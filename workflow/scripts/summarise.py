"""Summarise result tables, for people and for programs."""

from relax.jobs import job
from relax.summaries.table import SUMMARIES, for_people, rounded
from relax.tables import read_named, write_markdown, write_table


def main(snakemake):
    with job(snakemake.log[0]):
        summary = snakemake.params.summary
        table = SUMMARIES[summary](**read_named(snakemake.input))
        write_table(table, snakemake.output.csv)
        table = for_people(summary, table)
        write_markdown(rounded(table), snakemake.output.md)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
