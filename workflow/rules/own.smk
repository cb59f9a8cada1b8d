# The user's own problem: estimators trained on a function of a file, and compared on it. Not among
# what `all` makes: it is asked for by its targets, table_own and figure_own.
OWN = config["own"]
own_tables = run_tables(
    "own", "own/{estimator}/seeds{seeds}.csv", estimator=OWN["estimators"]
)


rule train_own:
    input:
        file=own_file,
    output:
        table=f"{RESULTS}/own/{{estimator}}/seeds{{first}}-{{last}}.csv",
    log:
        f"{LOGS}/own/{{estimator}}/seeds{{first}}-{{last}}.log",
    benchmark:
        f"{BENCHMARKS}/own/{{estimator}}/seeds{{first}}-{{last}}.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
    params:
        code=estimator_sources("experiments.own.problem", "runs.jobs", "runs.tables"),
        function=OWN["function"],
        latents=OWN["latents"],
        outcomes=OWN["outcomes"],
        evaluations=OWN["evaluations"],
        measurements=OWN["measurements"],
        learning_rate=OWN["learning_rate"],
        learning=learned_with(
            {"surrogate_learning_rate": OWN["surrogate_learning_rate"]}
        ),
        noise=OWN["noise"],
        variance_samples=OWN["variance_samples"],
        surrogate=surrogate_settings("own"),
    script:
        "../scripts/train_own.py"


rule compare_own:
    input:
        file=own_file,
    output:
        table=f"{RESULTS}/own/compare.csv",
    log:
        f"{LOGS}/own/compare.log",
    benchmark:
        f"{BENCHMARKS}/own/compare.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=sources(
            "experiments.own.comparison",
            "runs.jobs",
            "runs.tables",
            estimators=OWN["estimators"],
        ),
        function=OWN["function"],
        latents=OWN["latents"],
        outcomes=OWN["outcomes"],
        estimators=OWN["estimators"],
        surrogate=in_one_order(OWN["surrogate"]),
        noise=OWN["noise"],
        steps=OWN["compare"]["steps"],
        estimates=OWN["compare"]["estimates"],
    script:
        "../scripts/compare_own.py"


use rule figure_1 as figure_own with:
    input:
        training=own_tables,
    output:
        **figure_outputs("fig_own", "Your own problem", "training"),
    log:
        f"{LOGS}/figures/fig_own.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig_own.tsv"
    localrule: True
    params:
        code=figure_sources("own.figures"),
        figure="own.figures.fig_own",


use rule table_toy as table_own with:
    input:
        training=own_tables,
        comparison=rules.compare_own.output.table,
    output:
        **table_outputs("own", "Your own problem", "training and comparison"),
    log:
        f"{LOGS}/tables/own.log",
    benchmark:
        f"{BENCHMARKS}/tables/own.tsv"
    localrule: True
    params:
        code=table_sources("own.summary"),
        summary="own.summary",
