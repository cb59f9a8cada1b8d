"""The best graphs, and those that learned ones are compared with."""

from relax.experiments.structure.problem import all_known_graphs, problem_names
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads):
        names = problem_names(snakemake.params.nodes)
        file = snakemake.input.get("file") or None
        write_table(
            all_known_graphs(names, file, snakemake.params.transform), snakemake.output.table
        )


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
