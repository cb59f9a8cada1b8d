# The ledger: every claim of the experiments before this, judged from their tables; and the rows of each
# experiment alone (claims_toy, claims_vae, ...), for runs of a part.


rule table_claims:
    input:
        # By the names that the claims know their tables by.
        **{
            name: tables
            for experiment in CLAIMS.values()
            for name, tables in experiment.items()
        },
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
        code=table_sources("claims", *(f"{name}.claims" for name in CLAIMS)),
        experiments=list(CLAIMS),
        joined=JOINED,
    script:
        "../scripts/judge_claims.py"


use rule figure_1 as figure_0 with:
    input:
        claims=rules.table_claims.output.csv,
    output:
        **figure_outputs("fig0_claims", "Claims", "every claim at a glance"),
    log:
        f"{LOGS}/figures/fig0_claims.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig0_claims.tsv"
    localrule: True
    params:
        code=figure_sources("claims_figures"),
        figure="claims_figures.fig0_claims",


TABLES_MADE += [rules.table_claims.output]
FIGURES_MADE.insert(0, rules.figure_0.output)


for experiment, tables in CLAIMS.items():

    rule:
        name:
            f"claims_{experiment}"
        input:
            **tables,
        output:
            csv=f"{RESULTS}/tables/claims_{experiment}.csv",
            md=f"{RESULTS}/tables/claims_{experiment}.md",
        log:
            f"{LOGS}/tables/claims_{experiment}.log",
        benchmark:
            f"{BENCHMARKS}/tables/claims_{experiment}.tsv"
        localrule: True
        conda:
            "../../envs/relax.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            code=table_sources("claims", f"{experiment}.claims"),
            experiments=[experiment],
            joined=JOINED,
        script:
            "../scripts/judge_claims.py"
