# The tables that the figures and the README quote.
rule table_toy:
    input:
        toy=toy_tables,
        code=sources("summaries", "registry", "jobs", "tables"),
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
        vae=training_tables,
        code=sources("summaries", "registry", "jobs", "tables"),
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


rule tables:
    input:
        rules.table_toy.output,
        rules.table_vae.output,
