# Data sets, prepared: binary images in one compact format.
rule prepare_data:
    input:
        code=sources("data", "jobs"),
    output:
        images=f"{RESULTS}/data/{{dataset}}.npz",
    log:
        f"{LOGS}/data/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/data/{{dataset}}.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../scripts/prepare_data.py"
