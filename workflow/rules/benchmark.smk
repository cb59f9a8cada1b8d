# The estimators of 2014 to 2026 at the same points: variance, evaluations of f, seconds.
from relax.experiments.benchmark.variants import variants

BENCHMARK = config["benchmark"]
PROBLEMS = [*(f"t{target}" for target in BENCHMARK["toys"]["targets"])]
PROBLEMS += ["categorical", "many"]
# Whose models are measured: the trajectory's, as in figure 4, at its first learning rate.
BENCHMARK_RUN = (
    f"{RESULTS}/{VAE_RUN}".replace("{estimator}", TRAJECTORY)
    .replace("{learning_rate}", str(VAE["learning_rates"][0]))
    .replace("{first}-{last}", seed_ranges("vae")[0])
)
BENCHMARK_SEEDS = list(range(min(VAE["seeds"], VAE["seeds_per_job"])))


wildcard_constraints:
    problem="categorical|many|t[0-9][0-9.e+-]*",
    samples="[0-9]+",


benchmark_variances = expand(
    f"{RESULTS}/benchmark/{{problem}}/variance.csv", problem=PROBLEMS
) + benchmark_runs("variance")
benchmark_seconds = expand(
    f"{RESULTS}/benchmark/{{problem}}/seconds.csv", problem=PROBLEMS
) + benchmark_runs("seconds")
benchmark_trainings = expand(
    f"{RESULTS}/benchmark/{{problem}}/training.csv", problem=PROBLEMS
) + [
    path
    for each in variants(
        BENCHMARK["training"], BENCHMARK["samples"], latents=VAE["latents"]
    )
    for path in benchmark_runs(f"{each.estimator}/k{each.samples}/training")
]


rule benchmark_toys:
    output:
        variance=f"{RESULTS}/benchmark/{{problem}}/variance.csv",
        training=f"{RESULTS}/benchmark/{{problem}}/training.csv",
        seconds=f"{RESULTS}/benchmark/{{problem}}/seconds.csv",
    log:
        f"{LOGS}/benchmark/{{problem}}.log",
    benchmark:
        f"{BENCHMARKS}/benchmark/{{problem}}.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=sources(
            "experiments.benchmark.toys",
            "runs.jobs",
            "runs.tables",
            estimators=BENCHMARK["estimators"] + BENCHMARK["training"],
        ),
        estimators=BENCHMARK["estimators"],
        training=BENCHMARK["training"],
        samples=BENCHMARK["samples"],
        timings=BENCHMARK["timings"],
        many_latents=BENCHMARK["toys"]["many"]["latents"],
        many_target=BENCHMARK["toys"]["many"]["target"],
        costs=TOY["categorical"]["costs"],
        seeds=BENCHMARK["toys"]["seeds"],
        steps=BENCHMARK["toys"]["steps"],
        checkpoints=BENCHMARK["toys"]["checkpoints"],
        tuning_steps=BENCHMARK["toys"]["tuning_steps"],
        estimates=BENCHMARK["toys"]["estimates"],
        learning_rate=TOY["learning_rate"],
        surrogate_learning_rate=TOY["surrogate_learning_rate"],
        noise=TOY["noise"],
        surrogate=in_one_order(TOY["surrogate"]),
    script:
        "../scripts/benchmark_toys.py"


# What biases are measured from is for bits alone: a VAE of choices has no part in this.
if not OUTCOMES:

    rule benchmark_vae:
        input:
            images=f"{RESULTS}/data/{{dataset}}.npz",
            checkpoints=[
                f"{BENCHMARK_RUN}/checkpoint_{step}.pt"
                for step in sorted({HALFWAY, VAE["steps"]})
            ],
        output:
            variance=f"{BENCHMARK_VAE}/variance.csv",
            seconds=f"{BENCHMARK_VAE}/seconds.csv",
        log:
            f"{LOGS}/benchmark/vae/{{dataset}}/{{model}}/variance.log",
        benchmark:
            f"{BENCHMARKS}/benchmark/vae/{{dataset}}/{{model}}/variance.tsv"
        conda:
            "../../envs/relax.yaml"
        threads: 1
        resources:
            mem_mb=growing(4000),
            runtime=growing(480),
            gpu=GPUS,
        params:
            code=sources(
                "experiments.benchmark.vae",
                "data.images",
                "runs.jobs",
                "runs.tables",
                # The reference of the biases, and whose noise the bound has, besides.
                estimators=[
                    *BENCHMARK["estimators"],
                    *BENCHMARK["training"],
                    *BENCHMARK["bound"],
                    *("local_expectation", "vimco"),
                ],
            ),
            estimator=TRAJECTORY,
            seeds=BENCHMARK_SEEDS,
            learning_rate=VAE["learning_rates"][0],
            estimators=BENCHMARK["estimators"],
            training=BENCHMARK["training"],
            bound=BENCHMARK["bound"],
            samples=BENCHMARK["samples"],
            timings=BENCHMARK["timings"],
            tuning_block=BENCHMARK["vae"]["tuning_block"],
            tuning_steps=BENCHMARK["vae"]["tuning_steps"],
            minibatches=BENCHMARK["vae"]["minibatches"],
            draws=BENCHMARK["vae"]["draws"],
            reference_draws=BENCHMARK["vae"]["reference_draws"],
            batch=VAE["batch"],
            latents=VAE["latents"],
            noise=VAE["noise"],
            learning=learning_settings(BENCHMARK["estimators"]),
            surrogate=in_one_order(VAE["surrogate"]),
        script:
            "../scripts/benchmark_vae.py"

    rule train_benchmark_vae:
        input:
            images=f"{RESULTS}/data/{{dataset}}.npz",
        output:
            table=f"{BENCHMARK_VAE}/{{estimator}}/k{{samples}}/training.csv",
        log:
            f"{LOGS}/benchmark/vae/{{dataset}}/{{model}}/{{estimator}}/k{{samples}}.log",
        benchmark:
            f"{BENCHMARKS}/benchmark/vae/{{dataset}}/{{model}}/{{estimator}}/k{{samples}}.tsv"
        conda:
            "../../envs/relax.yaml"
        threads: 1
        resources:
            mem_mb=growing(4000),
            runtime=growing(1440),
            gpu=GPUS,
        params:
            code=estimator_sources(
                "experiments.benchmark.vae_training",
                "runs.resume",
                "data.images",
                "runs.jobs",
                "runs.tables",
            ),
            seeds=list(range(BENCHMARK["vae"]["seeds"])),
            steps=BENCHMARK["vae"]["steps"],
            learning_rate=BENCHMARK["vae"]["learning_rate"],
            batch=VAE["batch"],
            latents=VAE["latents"],
            noise=VAE["noise"],
            direct_gradient=False,
            adam_beta2=VAE["adam_beta2"],
            evaluation_samples=VAE["evaluation_samples"],
            bound_samples=1,
            learning=lambda wildcards: learning_settings([wildcards.estimator]),
            surrogate=lambda wildcards: {
                **surrogate_settings("vae")(wildcards),
                "samples": int(wildcards.samples),
            },
        script:
            "../scripts/train_benchmark_vae.py"


use rule figure_1 as figure_14 with:
    input:
        variance=benchmark_variances,
        seconds=benchmark_seconds,
    output:
        **figure_outputs("fig14_estimators", "Estimators", "variance against cost"),
    log:
        f"{LOGS}/figures/fig14_estimators.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig14_estimators.tsv"
    localrule: True
    params:
        code=figure_sources("benchmark.figures"),
        figure="benchmark.figures.fig14_estimators",


use rule figure_1 as figure_15 with:
    input:
        training=benchmark_trainings,
        seconds=benchmark_seconds,
    output:
        **figure_outputs(
            "fig15_training_at_equal_cost", "Estimators", "training at equal cost"
        ),
    log:
        f"{LOGS}/figures/fig15_training_at_equal_cost.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig15_training_at_equal_cost.tsv"
    localrule: True
    params:
        code=figure_sources("benchmark.figures"),
        figure="benchmark.figures.fig15_training_at_equal_cost",


use rule table_toy as table_estimators with:
    input:
        variance=benchmark_variances,
        seconds=benchmark_seconds,
    output:
        **table_outputs("estimators", "Estimators", "variance and cost of them all"),
    log:
        f"{LOGS}/tables/estimators.log",
    benchmark:
        f"{BENCHMARKS}/tables/estimators.tsv"
    localrule: True
    params:
        code=table_sources("benchmark.summary"),
        summary="benchmark.summary",


# For `all`, the report and the ledger of claims.
FIGURES_MADE += [rules.figure_14.output, rules.figure_15.output]
TABLES_MADE += [rules.table_estimators.output]
RESULTS_MADE += [benchmark_variances, benchmark_seconds, benchmark_trainings]
CLAIMS["benchmark"] = {"estimators": benchmark_variances}
