# Data sets: their files as they are, checked by their pins, then prepared in one compact format.


rule download_data:
    output:
        # For all presets alike. `update`: a copy that is there is checked first, not removed first,
        # and it stays if the job fails.
        update("resources/{dataset}/{file}"),
    log:
        f"{LOGS}/data/{{dataset}}/{{file}}.log",
    benchmark:
        f"{BENCHMARKS}/data/{{dataset}}/{{file}}.tsv"
    retries: 1
    localrule: True  # a cluster's nodes may have no way out
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=60,
    params:
        # The pin alone decides the content: a new address, mirror or version of the code is no
        # reason to download again, so the script reads those from the configuration.
        pin=lambda wildcards: pin_of(
            DATA_SETS[wildcards.dataset]["files"][wildcards.file]
        ),
    script:
        "../scripts/download_data.py"


rule prepare_data:
    input:
        files=lambda wildcards: [
            f"resources/{wildcards.dataset}/{file}"
            for file in DATA_SETS[wildcards.dataset]["files"]
        ],
    output:
        images=f"{RESULTS}/data/{{dataset}}.npz",
    log:
        f"{LOGS}/data/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/data/{{dataset}}.tsv"
    localrule: True  # seconds: not worth a place in a cluster's queue
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=sources("data.preparation", "runs.jobs"),
        declaration=lambda wildcards: preparation(DATA_SETS[wildcards.dataset]),
    script:
        "../scripts/prepare_data.py"
