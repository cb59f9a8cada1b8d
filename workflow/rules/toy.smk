# The toy problems: training runs, and the relaxations tuned at a fixed θ.
TOY = config["toy"]
toy_tables = run_tables(
    "toy",
    "toy/t{target}/{estimator}/seeds{seeds}.csv",
    target=TOY["targets"],
    estimator=TOY["estimators"],
)
categorical_tables = run_tables(
    "toy",
    "toy/categorical/{estimator}/seeds{seeds}.csv",
    estimator=TOY["estimators"],
)
relaxation_tables = run_tables(
    "toy",
    "toy/t{target}/{estimator}/relaxation_seeds{seeds}.csv",
    target=TOY["targets"],
    estimator=TOY["relaxation"]["estimators"],
)


rule train_toy:
    input:
        code=estimator_sources("problems.toy", "jobs", "tables"),
    output:
        table=f"{RESULTS}/toy/t{{target}}/{{estimator}}/seeds{{first}}-{{last}}.csv",
    log:
        f"{LOGS}/toy/t{{target}}/{{estimator}}/seeds{{first}}-{{last}}.log",
    benchmark:
        f"{BENCHMARKS}/toy/t{{target}}/{{estimator}}/seeds{{first}}-{{last}}.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        steps=TOY["steps"],
        learning_rate=TOY["learning_rate"],
        surrogate_learning_rate=TOY["surrogate_learning_rate"],
        noise=TOY["noise"],
        record_every=TOY["record_every"],
        variance_samples=TOY["variance_samples"],
        surrogate=surrogate_settings("toy"),
    script:
        "../scripts/train_toy.py"


rule train_categorical_toy:
    input:
        code=estimator_sources("problems.toy_categorical", "jobs", "tables"),
    output:
        table=f"{RESULTS}/toy/categorical/{{estimator}}/seeds{{first}}-{{last}}.csv",
    log:
        f"{LOGS}/toy/categorical/{{estimator}}/seeds{{first}}-{{last}}.log",
    benchmark:
        f"{BENCHMARKS}/toy/categorical/{{estimator}}/seeds{{first}}-{{last}}.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        costs=TOY["categorical"]["costs"],
        steps=TOY["categorical"]["steps"],
        record_every=TOY["categorical"]["record_every"],
        learning_rate=TOY["learning_rate"],
        surrogate_learning_rate=TOY["surrogate_learning_rate"],
        noise=TOY["noise"],
        variance_samples=TOY["variance_samples"],
        surrogate=surrogate_settings("toy"),
    script:
        "../scripts/train_categorical_toy.py"


rule tune_relaxation:
    input:
        code=estimator_sources("problems.toy", "jobs", "tables"),
    output:
        table=f"{RESULTS}/toy/t{{target}}/{{estimator}}/relaxation_seeds{{first}}-{{last}}.csv",
    log:
        f"{LOGS}/toy/t{{target}}/{{estimator}}/relaxation_seeds{{first}}-{{last}}.log",
    benchmark:
        f"{BENCHMARKS}/toy/t{{target}}/{{estimator}}/relaxation_seeds{{first}}-{{last}}.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        theta=TOY["relaxation"]["theta"],
        steps=TOY["relaxation"]["steps"],
        surrogate_learning_rate=TOY["surrogate_learning_rate"],
        noise=TOY["noise"],
        surrogate=surrogate_settings("toy"),
    script:
        "../scripts/tune_relaxation.py"
