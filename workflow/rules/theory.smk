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
    )
]


rule theory:
    input:
        code=sources(
            "problems.theory",
            "jobs",
            "tables",
            *(
                REGISTRY[name].module.removeprefix("relax.")
                for name in estimator_names()
            ),
        ),
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
