# The discrete VAE: training with checkpoints, and every estimator's variance at those checkpoints.
VAE = config["vae"]
RUN = "vae/{dataset}/{model}/{estimator}/lr{learning_rate}/seeds{first}-{last}"
CHECKPOINT_STEPS = [
    round(VAE["steps"] * part / VAE["checkpoints"])
    for part in range(VAE["checkpoints"] + 1)
]


TRAJECTORY = VAE["variance"]["trajectory"]
training_tables, variance_tables = [
    run_tables(
        "vae",
        f"vae/{{dataset}}/{{model}}/{{estimator}}/lr{{lr}}/seeds{{seeds}}/{name}.csv",
        dataset=VAE["datasets"],
        model=VAE["models"],
        estimator=estimators,
        lr=VAE["learning_rates"],
    )
    for name, estimators in (
        ("training", VAE["estimators"]),
        ("variance", [TRAJECTORY]),
    )
]


rule train_vae:
    input:
        images=f"{RESULTS}/data/{{dataset}}.npz",
        code=estimator_sources("problems.vae_training", "data", "jobs", "tables"),
    output:
        table=f"{RESULTS}/{RUN}/training.csv",
        checkpoints=[
            f"{RESULTS}/{RUN}/checkpoint_{step}.pt" for step in CHECKPOINT_STEPS
        ],
    log:
        f"{LOGS}/{RUN}/training.log",
    benchmark:
        f"{BENCHMARKS}/{RUN}/training.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=1440,
    params:
        steps=VAE["steps"],
        checkpoint_steps=CHECKPOINT_STEPS,
        batch=VAE["batch"],
        latents=VAE["latents"],
        noise=VAE["noise"],
        direct_gradient=VAE["direct_gradient"],
        adam_beta2=VAE["adam_beta2"],
        evaluation_samples=VAE["evaluation_samples"],
        surrogate=surrogate_settings("vae"),
    script:
        "../scripts/train_vae.py"


rule measure_variance:
    input:
        images=f"{RESULTS}/data/{{dataset}}.npz",
        checkpoints=rules.train_vae.output.checkpoints,
        code=sources(
            "problems.vae_variance",
            "data",
            "jobs",
            "tables",
            *(
                REGISTRY[name].module.removeprefix("relax.")
                for name in VAE["estimators"]
            ),
        ),
    output:
        table=f"{RESULTS}/{RUN}/variance.csv",
    log:
        f"{LOGS}/{RUN}/variance.log",
    benchmark:
        f"{BENCHMARKS}/{RUN}/variance.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=480,
    params:
        estimators=VAE["estimators"],
        tuning_steps=VAE["variance"]["tuning_steps"],
        minibatches=VAE["variance"]["minibatches"],
        draws=VAE["variance"]["draws"],
        batch=VAE["batch"],
        latents=VAE["latents"],
        noise=VAE["noise"],
        direct_gradient=VAE["direct_gradient"],
        adam_beta2=VAE["adam_beta2"],
        surrogate=VAE["surrogate"],
    script:
        "../scripts/measure_variance.py"
