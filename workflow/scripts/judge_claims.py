"""Judge the draft's claims from the result tables."""

from pathlib import Path

from relax.experiments.claims import for_people, judge_claims
from relax.runs.jobs import job
from relax.runs.tables import read_named, read_tables, write_markdown, write_table


def main(snakemake):
    with job(snakemake.log[0]):
        tables = read_named(snakemake.input, snakemake.params.joined, without=["theory"])
        theory = snakemake.input.get("theory", [])  # packed runs have none
        tables |= {Path(path).stem: read_tables(path) for path in theory}
        table = judge_claims(tables, snakemake.params.experiments)
        write_table(table, snakemake.output.csv)
        write_markdown(for_people(table), snakemake.output.md)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
