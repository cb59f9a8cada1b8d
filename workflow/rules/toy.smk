# The toy problems: training runs, and the relaxations tuned at a fixed θ.
TOY = config["toy"]
toy_tables = run_tables(
    "toy",
    "toy/t{target}/{estimator}/seeds{seeds}.csv",
    target=TOY["targets"],
    estimator=of_kind("bernoulli", TOY["estimators"]),
)
categorical_tables = run_tables(
    "toy",
    "toy/categorical/{estimator}/seeds{seeds}.csv",
    estimator=of_kind("categorical", TOY["estimators"]),
)
relaxation_tables = run_tables(
    "toy",
    "toy/t{target}/{estimator}/relaxation_seeds{seeds}.csv",
    target=TOY["targets"],
    estimator=TOY["relaxation"]["estimators"],
)


rule train_toy:
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
        code=estimator_sources("experiments.toy.problem", "runs.jobs", "runs.tables"),
        steps=TOY["steps"],
        learning_rate=TOY["learning_rate"],
        learning=learned_with(
            {"surrogate_learning_rate": TOY["surrogate_learning_rate"]}
        ),
        noise=TOY["noise"],
        record_every=TOY["record_every"],
        variance_samples=TOY["variance_samples"],
        surrogate=surrogate_settings("toy"),
    script:
        "../scripts/train_toy.py"


rule train_categorical_toy:
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
        code=estimator_sources(
            "experiments.toy.categorical", "runs.jobs", "runs.tables"
        ),
        costs=TOY["categorical"]["costs"],
        steps=TOY["categorical"]["steps"],
        record_every=TOY["categorical"]["record_every"],
        learning_rate=TOY["learning_rate"],
        learning=learned_with(
            {"surrogate_learning_rate": TOY["surrogate_learning_rate"]}
        ),
        noise=TOY["noise"],
        variance_samples=TOY["variance_samples"],
        surrogate=surrogate_settings("toy"),
    script:
        "../scripts/train_categorical_toy.py"


rule tune_relaxation:
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
        code=estimator_sources("experiments.toy.problem", "runs.jobs", "runs.tables"),
        theta=TOY["relaxation"]["theta"],
        steps=TOY["relaxation"]["steps"],
        learning=learned_with(
            {"surrogate_learning_rate": TOY["surrogate_learning_rate"]}
        ),
        noise=TOY["noise"],
        surrogate=surrogate_settings("toy"),
    script:
        "../scripts/tune_relaxation.py"


rule figure_1:
    input:
        toy=toy_tables,
        categorical=categorical_tables,
    output:
        **figure_outputs("fig1_toy_training", "Toy problem", "training"),
    log:
        f"{LOGS}/figures/fig1_toy_training.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig1_toy_training.tsv"
    # Seconds each: on a cluster figures are drawn where snakemake runs. `use rule` passes all on but this.
    localrule: True
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=figure_sources("toy.figures"),
        figure="toy.figures.fig1_toy_training",
    script:
        "../scripts/plot.py"


use rule figure_1 as figure_2 with:
    input:
        toy=toy_tables,
        relaxation=relaxation_tables,
        categorical=categorical_tables,
    output:
        **figure_outputs(
            "fig2_toy_variance_relaxation", "Toy problem", "variance and relaxation"
        ),
    log:
        f"{LOGS}/figures/fig2_toy_variance_relaxation.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig2_toy_variance_relaxation.tsv"
    localrule: True
    params:
        code=figure_sources("toy.figures"),
        figure="toy.figures.fig2_toy_variance_relaxation",


rule table_toy:
    input:
        toy=toy_tables,
        categorical=categorical_tables,
    output:
        **table_outputs("toy", "Toy problem", "final values"),
    log:
        f"{LOGS}/tables/toy.log",
    benchmark:
        f"{BENCHMARKS}/tables/toy.tsv"
    localrule: True
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=table_sources("toy.summary"),
        summary="toy.summary",
    script:
        "../scripts/summarise.py"


# For `all`, the report and the ledger of claims.
FIGURES_MADE += [rules.figure_1.output, rules.figure_2.output]
TABLES_MADE += [rules.table_toy.output]
RESULTS_MADE += [toy_tables, categorical_tables, relaxation_tables]
CLAIMS["toy"] = {"toy": toy_tables}
