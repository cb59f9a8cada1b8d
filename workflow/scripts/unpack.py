"""Check packed runs, and stack their tables."""

from pathlib import Path

from relax.experiments.archive.stack import stack
from relax.runs.jobs import job
from relax.runs.tables import write_table


def main(snakemake):
    with job(snakemake.log[0]):
        places = {Path(path).parent.name: Path(path).parent for path in snakemake.input.files}
        runs, tried = ([places[name] for name in snakemake.params[k]] for k in ("runs", "tried"))
        made = stack(runs, tried)
        for name, path in snakemake.output.items():
            write_table(made[name], path)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
