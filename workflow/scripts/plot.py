"""Draw one figure in every format that the rule asks for."""

from importlib import import_module

from relax.figures.style import save
from relax.jobs import job
from relax.tables import read_named


def main(snakemake):
    with job(snakemake.log[0]):
        module, function = snakemake.params.figure.split(".")
        draw = getattr(import_module(f"relax.figures.{module}"), function)
        save(draw(**read_named(snakemake.input)), snakemake.output)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
