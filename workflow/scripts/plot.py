"""Draw one figure in every format that the rule asks for."""

from importlib import import_module

from relax.presentation.style import save
from relax.runs.jobs import job
from relax.runs.tables import read_named


def main(snakemake):
    with job(snakemake.log[0]):
        module, function = snakemake.params.figure.rsplit(".", 1)
        draw = getattr(import_module(f"relax.experiments.{module}"), function)
        tables = read_named(snakemake.input, snakemake.params.get("joined"))
        save(draw(**tables), snakemake.output)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
