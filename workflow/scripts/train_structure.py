"""Learn the structure of graphs with one estimator, and measure its gradient's variance."""

from relax.experiments.structure.training import StructureSettings, train_all
from relax.experiments.structure.variance import MeasureSettings, measure_variance
from relax.runs.jobs import job
from relax.runs.tables import read_tables, write_table


def main(snakemake):
    with job(snakemake.log[0], snakemake.threads) as log:
        file = snakemake.input.get("file") or None
        settings = StructureSettings.of(
            snakemake.wildcards, snakemake.params, file, [MeasureSettings]
        )
        known = read_tables(snakemake.input.graphs)
        tables = train_all(settings, known, log)
        measure = MeasureSettings.of(snakemake.params)
        tables["variance"] = measure_variance(settings, measure, known, log)
        for name, table in tables.items():
            write_table(table, snakemake.output[name])


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
