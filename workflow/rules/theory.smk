# The optimal relaxation, exactly: what figures 6 to 10 and the claims read.
THEORY = config["theory"]
THEORY_TABLES = [
    f"{RESULTS}/theory/{name}.csv"
    for name in (
        "optimum",
        "concrete",
        "relaxations",
        "terms",
        "eta",
        "latents",
        "equations",
        "family",
        "toy_assumptions",
    )
]


rule theory:
    output:
        optimum=THEORY_TABLES[0],
        concrete=THEORY_TABLES[1],
        relaxations=THEORY_TABLES[2],
        terms=THEORY_TABLES[3],
        eta=THEORY_TABLES[4],
        latents=report(
            THEORY_TABLES[5],
            caption="../report/table_latents.rst",
            category="Optimal relaxation",
            labels={"what": "table", "name": "least variances"},
        ),
        equations=THEORY_TABLES[6],
        family=THEORY_TABLES[7],
        toy_assumptions=THEORY_TABLES[8],
    log:
        f"{LOGS}/theory.log",
    benchmark:
        f"{BENCHMARKS}/theory.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=sources(
            "experiments.theory.tables",
            "runs.jobs",
            "runs.tables",
            "estimators.registry",
            estimators=[name for name in estimator_names() if REGISTRY[name].formula],
        ),
        targets=THEORY["targets"],
        thetas=THEORY["thetas"],
        grid=THEORY["grid"],
        largest_temperature=THEORY["largest_temperature"],
        number_of_seeds=THEORY["seeds"],
        steps=THEORY["steps"],
        surrogate_learning_rate=THEORY["surrogate_learning_rate"],
        noise=THEORY["noise"],
        surrogate=TOY["surrogate"],
    script:
        "../scripts/compute_theory.py"


use rule figure_1 as figure_6 with:
    input:
        relaxations=rules.theory.output.relaxations,
    output:
        **figure_outputs(
            "fig6_optimal_relaxation", "Optimal relaxation", "optimal relaxation"
        ),
    log:
        f"{LOGS}/figures/fig6_optimal_relaxation.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig6_optimal_relaxation.tsv"
    localrule: True
    params:
        code=figure_sources("theory.figures"),
        figure="theory.figures.fig6_optimal_relaxation",


use rule figure_1 as figure_7 with:
    input:
        optimum=rules.theory.output.optimum,
    output:
        **figure_outputs(
            "fig7_optimum_vs_theta", "Optimal relaxation", "optimum against theta"
        ),
    log:
        f"{LOGS}/figures/fig7_optimum_vs_theta.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig7_optimum_vs_theta.tsv"
    localrule: True
    params:
        code=figure_sources("theory.figures"),
        figure="theory.figures.fig7_optimum_vs_theta",


use rule figure_1 as figure_8 with:
    input:
        concrete=rules.theory.output.concrete,
    output:
        **figure_outputs(
            "fig8_concrete_bias_variance",
            "Optimal relaxation",
            "Concrete's bias and variance",
        ),
    log:
        f"{LOGS}/figures/fig8_concrete_bias_variance.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig8_concrete_bias_variance.tsv"
    localrule: True
    params:
        code=figure_sources("theory.figures"),
        figure="theory.figures.fig8_concrete_bias_variance",


use rule figure_1 as figure_9 with:
    input:
        terms=rules.theory.output.terms,
    output:
        **figure_outputs(
            "fig9_estimator_terms", "Optimal relaxation", "terms of the estimate"
        ),
    log:
        f"{LOGS}/figures/fig9_estimator_terms.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig9_estimator_terms.tsv"
    localrule: True
    params:
        code=figure_sources("theory.figures"),
        figure="theory.figures.fig9_estimator_terms",


use rule figure_1 as figure_10 with:
    input:
        eta=rules.theory.output.eta,
    output:
        **figure_outputs("fig10_eta", "Optimal relaxation", "the scale eta"),
    log:
        f"{LOGS}/figures/fig10_eta.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig10_eta.tsv"
    localrule: True
    params:
        code=figure_sources("theory.figures"),
        figure="theory.figures.fig10_eta",


# For `all`, the report and the ledger of claims.
FIGURES_MADE += [
    rules.figure_6.output,
    rules.figure_7.output,
    rules.figure_8.output,
    rules.figure_9.output,
    rules.figure_10.output,
]
RESULTS_MADE += [THEORY_TABLES]
CLAIMS["theory"] = {"theory": THEORY_TABLES}
