"""Draw one figure in every format that the rule asks for."""

from importlib import import_module

from relax.figures.style import save
from relax.jobs import job
from relax.tables import read_tables


def main(snakemake):
    with job(snakemake.log[0]):
        module, function = snakemake.params.figure.split(".")
        names = [name for name in snakemake.input.keys() if name != "code"]
        tables = {name: read_tables(snakemake.input[name]) for name in names}
        draw = getattr(import_module(f"relax.figures.{module}"), function)
        save(draw(**tables), snakemake.output)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
