# The generalised reparameterization and its recursion: one Gamma latent, and a model of counts.
PATHS = config["reparameterization"]
PATHS_TABLES = {
    name: f"{RESULTS}/reparameterization/{name}.csv"
    for name in ("costs", "training", "variances")
}


rule reparameterize:
    output:
        costs=PATHS_TABLES["costs"],
    log:
        f"{LOGS}/reparameterization/costs.log",
    benchmark:
        f"{BENCHMARKS}/reparameterization/costs.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=sources(
            "experiments.reparameterization.problem", "runs.jobs", "runs.tables"
        ),
        concentrations=PATHS["concentrations"],
        seeds=PATHS["seeds"],
        steps=PATHS["steps"],
        batch=PATHS["batch"],
        surrogate_learning_rate=PATHS["surrogate_learning_rate"],
        measurements=PATHS["measurements"],
        surrogate=in_one_order(PATHS["surrogate"]),
    script:
        "../scripts/reparameterize.py"


rule train_factors:
    output:
        training=PATHS_TABLES["training"],
        variances=PATHS_TABLES["variances"],
    log:
        f"{LOGS}/reparameterization/training.log",
    benchmark:
        f"{BENCHMARKS}/reparameterization/training.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=sources("experiments.reparameterization.model", "runs.jobs", "runs.tables"),
        images=PATHS["model"]["images"],
        latents=PATHS["model"]["latents"],
        seeds=PATHS["model"]["seeds"],
        steps=PATHS["model"]["steps"],
        learning_rate=PATHS["model"]["learning_rate"],
        surrogate_learning_rate=PATHS["model"]["surrogate_learning_rate"],
        measurements=PATHS["model"]["measurements"],
        tuning_steps=PATHS["model"]["tuning_steps"],
        draws=PATHS["model"]["draws"],
        surrogate=in_one_order(PATHS["model"]["surrogate"]),
    script:
        "../scripts/train_factors.py"


use rule figure_1 as figure_16 with:
    input:
        **PATHS_TABLES,
    output:
        **figure_outputs(
            "fig16_generalised_reparameterization",
            "Generalised reparameterization",
            "variances and terms",
        ),
    log:
        f"{LOGS}/figures/fig16_generalised_reparameterization.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig16_generalised_reparameterization.tsv"
    localrule: True
    params:
        code=figure_sources("reparameterization.figures"),
        figure="reparameterization.figures.fig16_generalised_reparameterization",


use rule table_toy as table_reparameterization with:
    input:
        **PATHS_TABLES,
    output:
        **table_outputs(
            "reparameterization", "Generalised reparameterization", "variances"
        ),
    log:
        f"{LOGS}/tables/reparameterization.log",
    benchmark:
        f"{BENCHMARKS}/tables/reparameterization.tsv"
    localrule: True
    params:
        code=table_sources("reparameterization.summary"),
        summary="reparameterization.summary",


FIGURES_MADE += [rules.figure_16.output]
TABLES_MADE += [rules.table_reparameterization.output]
RESULTS_MADE += [list(PATHS_TABLES.values())]
CLAIMS["reparameterization"] = {
    "gamma_costs": PATHS_TABLES["costs"],
    "factor_variances": PATHS_TABLES["variances"],
}
