"""Summarise result tables, for people and for programs."""

from importlib import import_module

from relax.presentation.common import rounded
from relax.runs.jobs import job
from relax.runs.tables import read_named, write_markdown, write_table


def main(snakemake):
    with job(snakemake.log[0]):
        module = import_module(f"relax.experiments.{snakemake.params.summary}")
        tables = read_named(snakemake.input, snakemake.params.get("joined"))
        table = module.summarise(**tables)
        write_table(table, snakemake.output.csv)
        for_people = getattr(module, "for_people", lambda table: table)
        write_markdown(rounded(for_people(table)), snakemake.output.md)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
