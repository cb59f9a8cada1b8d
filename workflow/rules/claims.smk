# The ledger: every claim of the experiments before this, judged from their tables; and the rows of each
# experiment alone (claims_toy, claims_vae, ...), for runs of a part.
LEDGERS = {"table_claims": CLAIMS}
LEDGERS |= {f"claims_{name}": {name: tables} for name, tables in CLAIMS.items()}


for rule_name, judged in LEDGERS.items():
    stem = rule_name.removeprefix("table_")

    rule:
        name:
            rule_name
        input:
            # By the names that the claims know their tables by.
            **{
                name: tables
                for experiment in judged.values()
                for name, tables in experiment.items()
            },
        output:
            **ledger_outputs(stem),
        log:
            f"{LOGS}/tables/{stem}.log",
        benchmark:
            f"{BENCHMARKS}/tables/{stem}.tsv"
        localrule: True
        conda:
            "../../envs/relax.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            code=table_sources("claims", *(f"{name}.claims" for name in judged)),
            experiments=list(judged),
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
