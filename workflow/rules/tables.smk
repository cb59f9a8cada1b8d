# The tables that the figures and the README quote.


# Seconds each: on a cluster they run where snakemake runs.
localrules:
    table_toy,
    table_vae,
    table_midtraining,
    table_rl,
    table_claims,


rule table_toy:
    input:
        toy=toy_tables,
        categorical=categorical_tables,
        code=sources("summaries.table", "registry", "jobs", "tables"),
    output:
        csv=report(
            f"{RESULTS}/tables/toy.csv",
            caption="../report/table_toy.rst",
            category="Toy problem",
            labels={"what": "table", "name": "final values"},
        ),
        md=f"{RESULTS}/tables/toy.md",
    log:
        f"{LOGS}/tables/toy.log",
    benchmark:
        f"{BENCHMARKS}/tables/toy.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        summary="toy",
    script:
        "../scripts/summarise.py"


rule table_vae:
    input:
        training=training_tables,
        best=best_tables,
        code=sources("summaries.table", "registry", "jobs", "tables"),
    output:
        csv=report(
            f"{RESULTS}/tables/vae.csv",
            caption="../report/table_vae.rst",
            category="Discrete VAE",
            labels={"what": "table", "name": "best ELBOs"},
        ),
        md=f"{RESULTS}/tables/vae.md",
    log:
        f"{LOGS}/tables/vae.log",
    benchmark:
        f"{BENCHMARKS}/tables/vae.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        summary="vae",
    script:
        "../scripts/summarise.py"


rule table_midtraining:
    input:
        training=training_tables,
        midtraining=midtraining_tables,
        code=sources("summaries.table", "registry", "jobs", "tables"),
    output:
        csv=report(
            f"{RESULTS}/tables/midtraining.csv",
            caption="../report/table_midtraining.rst",
            category="Discrete VAE",
            labels={"what": "table", "name": "halfway through training"},
        ),
        md=f"{RESULTS}/tables/midtraining.md",
    log:
        f"{LOGS}/tables/midtraining.log",
    benchmark:
        f"{BENCHMARKS}/tables/midtraining.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        summary="midtraining",
    script:
        "../scripts/summarise.py"


rule table_rl:
    input:
        policies=policy_tables,
        code=sources("summaries.table", "registry", "jobs", "tables"),
    output:
        csv=report(
            f"{RESULTS}/tables/rl.csv",
            caption="../report/table_rl.rst",
            category="Reinforcement learning",
            labels={"what": "table", "name": "episodes to solve"},
        ),
        md=f"{RESULTS}/tables/rl.md",
    log:
        f"{LOGS}/tables/rl.log",
    benchmark:
        f"{BENCHMARKS}/tables/rl.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        summary="rl",
    script:
        "../scripts/summarise.py"


rule table_claims:
    input:
        toy=toy_tables,
        training=training_tables,
        variance=variance_tables,
        midtraining=midtraining_tables,
        policies=policy_tables,
        theory=THEORY_TABLES,
        code=sources("claims.table", "registry", "jobs", "tables"),
    output:
        csv=report(
            f"{RESULTS}/tables/claims.csv",
            caption="../report/table_claims.rst",
            category="Claims",
            labels={"what": "table", "name": "verdicts"},
        ),
        md=f"{RESULTS}/tables/claims.md",
    log:
        f"{LOGS}/tables/claims.log",
    benchmark:
        f"{BENCHMARKS}/tables/claims.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../scripts/judge_claims.py"


rule tables:
    input:
        rules.table_toy.output,
        rules.table_vae.output,
        rules.table_midtraining.output,
        rules.table_rl.output,
        rules.table_claims.output,
