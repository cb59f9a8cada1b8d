# Graph structure learning: Sachs's proteins or the user's table, and random graphs.
STRUCTURE = config["structure"]
STRUCTURE_RUN = "structure/{estimator}/seeds{first}-{last}"
structure_tables = {
    table: run_tables(
        "structure",
        f"structure/{{estimator}}/seeds{{seeds}}/{table}.csv",
        estimator=STRUCTURE["estimators"],
    )
    for table in ("training", "edges", "variance", "seconds")
}


rule structure_graphs:
    input:
        file=structure_file,
    output:
        table=f"{RESULTS}/structure/graphs.csv",
    log:
        f"{LOGS}/structure/graphs.log",
    benchmark:
        f"{BENCHMARKS}/structure/graphs.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=sources("experiments.structure.problem", "runs.jobs", "runs.tables"),
        nodes=random_nodes(),
        transform=STRUCTURE["transform"],
    script:
        "../scripts/structure_graphs.py"


rule train_structure:
    input:
        file=structure_file,
        graphs=rules.structure_graphs.output.table,
    output:
        training=f"{RESULTS}/{STRUCTURE_RUN}/training.csv",
        edges=f"{RESULTS}/{STRUCTURE_RUN}/edges.csv",
        variance=f"{RESULTS}/{STRUCTURE_RUN}/variance.csv",
        seconds=f"{RESULTS}/{STRUCTURE_RUN}/seconds.csv",
    log:
        f"{LOGS}/{STRUCTURE_RUN}.log",
    benchmark:
        f"{BENCHMARKS}/{STRUCTURE_RUN}.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(120),
    params:
        code=estimator_sources(
            "experiments.structure.variance",
            "estimators.rloo",
            "runs.jobs",
            "runs.tables",
        ),
        problems=lambda wildcards: structure_problems(wildcards.estimator),
        transform=STRUCTURE["transform"],
        start=STRUCTURE["start"],
        acyclicity=STRUCTURE["acyclicity"],
        evaluations=STRUCTURE["evaluations"],
        random_evaluations=STRUCTURE["random"]["evaluations"],
        evaluations_per_step=STRUCTURE["evaluations_per_step"],
        learning_rate=STRUCTURE["learning_rate"],
        learning=learned_with(
            {"surrogate_learning_rate": STRUCTURE["surrogate_learning_rate"]}
        ),
        noise=STRUCTURE["noise"],
        measurements=STRUCTURE["measurements"],
        points=STRUCTURE["variance"]["points"],
        tuning_steps=STRUCTURE["variance"]["tuning_steps"],
        estimates=STRUCTURE["variance"]["estimates"],
        reference_estimates=STRUCTURE["variance"]["reference_estimates"],
        surrogate=surrogate_settings("structure"),
    script:
        "../scripts/train_structure.py"


use rule figure_1 as figure_17 with:
    input:
        training=structure_tables["training"],
        graphs=rules.structure_graphs.output.table,
        variance=structure_tables["variance"],
    output:
        **figure_outputs(
            "fig17_structure", "Graph structure", "score and gradient variance"
        ),
    log:
        f"{LOGS}/figures/fig17_structure.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig17_structure.tsv"
    localrule: True
    params:
        code=figure_sources("structure.figures"),
        figure="structure.figures.fig17_structure",


use rule figure_1 as figure_18 with:
    input:
        edges=structure_tables["edges"],
        graphs=rules.structure_graphs.output.table,
    output:
        **figure_outputs("fig18_graph", "Graph structure", "the graphs"),
    log:
        f"{LOGS}/figures/fig18_graph.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig18_graph.tsv"
    localrule: True
    params:
        code=figure_sources("structure.graph_figures"),
        figure="structure.graph_figures.fig18_graph",


use rule table_toy as table_structure with:
    input:
        training=structure_tables["training"],
        graphs=rules.structure_graphs.output.table,
        seconds=structure_tables["seconds"],
    output:
        **table_outputs("structure", "Graph structure", "gap to the best graph"),
    log:
        f"{LOGS}/tables/structure.log",
    benchmark:
        f"{BENCHMARKS}/tables/structure.tsv"
    localrule: True
    params:
        code=table_sources("structure.summary"),
        summary="structure.summary",


# For `all`, the report and the ledger of claims.
FIGURES_MADE += [rules.figure_17.output, rules.figure_18.output]
TABLES_MADE += [rules.table_structure.output]
RESULTS_MADE += [rules.structure_graphs.output, *structure_tables.values()]
CLAIMS["structure"] = {
    "structure": structure_tables["training"],
    "structure_graphs": rules.structure_graphs.output.table,
    "structure_variance": structure_tables["variance"],
}
