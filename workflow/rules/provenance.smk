# Where the results come from, noted when all of them are there.


localrules:
    provenance,


rule provenance:
    input:
        made=[
            rules.figures.input,
            rules.tables.input,
            toy_tables,
            categorical_tables,
            relaxation_tables,
            training_tables,
            best_tables,
            variance_tables,
            midtraining_tables,
            picture_tables,
            policy_tables,
            THEORY_TABLES,
            expand(f"{RESULTS}/data/{{dataset}}.npz", dataset=VAE["datasets"]),
        ],
        code=sources("provenance", "jobs", "tables"),
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
    script:
        "../scripts/note_provenance.py"
