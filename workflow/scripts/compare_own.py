"""Compare the estimators on the user's own cost."""

from relax.experiments.own.comparison import compare_own
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads):
        settings = {k: v for k, v in snakemake.params.items() if k not in ("code", "said")}
        table = compare_own(file=snakemake.input.file, **settings)
        write_table(table, snakemake.output.table)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
