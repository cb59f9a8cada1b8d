# The ledger: every claim of the experiments before this, judged from their tables.


rule table_claims:
    input:
        # By the names that the claims know their tables by.
        **{
            name: tables
            for experiment in CLAIMS.values()
            for name, tables in experiment.items()
        },
        code=table_sources("claims", *(f"{name}.claims" for name in CLAIMS)),
    output:
        **table_outputs("claims", "Claims", "verdicts"),
    log:
        f"{LOGS}/tables/claims.log",
    benchmark:
        f"{BENCHMARKS}/tables/claims.tsv"
    localrule: True
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        experiments=list(CLAIMS),
    script:
        "../scripts/judge_claims.py"


TABLES_MADE += [rules.table_claims.output]
