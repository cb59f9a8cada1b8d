# All figures, all tables, and where they come from, noted when all of them are there.


localrules:
    all,
    figures,
    tables,
    provenance,


rule figures:
    input:
        FIGURES_MADE,


rule tables:
    input:
        TABLES_MADE,


rule provenance:
    input:
        made=[FIGURES_MADE, TABLES_MADE, RESULTS_MADE],
    output:
        csv=report(
            f"{RESULTS}/tables/provenance.csv",
            caption="../report/table_provenance.rst",
            category="Provenance",
            labels={"what": "table", "name": "code, packages, machine, times"},
        ),
        md=f"{RESULTS}/tables/provenance.md",
    log:
        f"{LOGS}/tables/provenance.log",
    benchmark:
        f"{BENCHMARKS}/tables/provenance.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    # The script reads the configuration whole: as params, a key that changes no result would make
    # this run again.
    params:
        code=sources("runs.provenance", "runs.jobs", "runs.tables"),
    script:
        "../scripts/note_provenance.py"
