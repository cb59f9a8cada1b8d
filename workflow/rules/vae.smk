# The discrete VAE: training with checkpoints, and every estimator's variance at those checkpoints.
VAE = config["vae"]

CHECKPOINT_STEPS = [
    round(VAE["steps"] * part / VAE["checkpoints"])
    for part in range(VAE["checkpoints"] + 1)
]
HALFWAY = min(CHECKPOINT_STEPS, key=lambda step: (abs(2 * step - VAE["steps"]), -step))
TRAJECTORY = VAE["variance"]["trajectory"]
HALFWAY_ESTIMATORS = ["rebar", "relax", "nvil", "reinforce", "muprop", "concrete"]

# Of a categorical latent; None: latents are bits. Readers of the tables are told where they are not;
# packed runs tell it themselves.
OUTCOMES = VAE["outcomes"] if VAE["latent_kind"] == "categorical" else None
TOLD = {model: f"{VAE['latents']} x {OUTCOMES}" for model in VAE["models"]}
LATENTS_TOLD = (
    {"training": {"latents": ("model", TOLD)}} if OUTCOMES and not PACKED else {}
)
JOINED |= LATENTS_TOLD

# What every job depends on that takes a step of a VAE.
MODEL_KEYS = ("batch", "latents", "noise", "direct_gradient", "adam_beta2")
MODEL_PARAMS = {key: VAE[key] for key in MODEL_KEYS} | {"outcomes": OUTCOMES}

# What a job asks a cluster for. With `device: auto` it takes a GPU where it finds one.
GPUS = int(config["device"] == "cuda")


training_tables = vae_tables("training", VAE["estimators"])
best_tables = vae_tables("best", VAE["estimators"])
variance_tables = vae_tables("variance", [TRAJECTORY])
midtraining_tables = vae_tables("midtraining", [TRAJECTORY])
gradient_tables = vae_tables("gradients", [TRAJECTORY])
assumption_tables = vae_tables("assumptions", [TRAJECTORY])
picture_tables = vae_tables("pictures", [TRAJECTORY])


# Learning rates whose seeds one job trains side by side. One alone stays a wildcard: there is one
# rule for all; several make a rule of their own, with the files of each.
RATES_PER_JOB = VAE["learning_rates_per_job"]
RATE_GROUPS = (
    {"train_vae": ["{learning_rate}"]}
    if RATES_PER_JOB == 1
    else {
        f"train_vae_rates_{first + 1}": VAE["learning_rates"][
            first : first + RATES_PER_JOB
        ]
        for first in range(0, len(VAE["learning_rates"]), RATES_PER_JOB)
    }
)


for rule_name, rates in RATE_GROUPS.items():

    rule:
        name:
            rule_name
        input:
            images=f"{RESULTS}/data/{{dataset}}.npz",
        output:
            tables=training_files(rates, "training.csv"),
            best=training_files(rates, "best.csv"),
            models=training_files(rates, "best.pt"),
            # Of the first learning rate every step, then of the next.
            checkpoints=training_files(
                rates, *(f"checkpoint_{step}.pt" for step in CHECKPOINT_STEPS)
            ),
        log:
            f"{LOGS}/{VAE_RUN}/training.log".replace("{learning_rate}", str(rates[0])),
        benchmark:
            f"{BENCHMARKS}/{VAE_RUN}/training.tsv".replace(
                "{learning_rate}", str(rates[0])
            )
        conda:
            "../../envs/relax.yaml"
        threads: 1
        resources:
            mem_mb=growing(4000),
            runtime=growing(1440),
            gpu=GPUS,
        # device, vae.compile and vae.save_every are no params: no result depends on them, but for
        # rounding.
        params:
            **MODEL_PARAMS,
            code=estimator_sources(
                "experiments.vae.training",
                "runs.resume",
                "data.images",
                "runs.jobs",
                "runs.tables",
            ),
            steps=VAE["steps"],
            checkpoint_steps=CHECKPOINT_STEPS,
            evaluation_samples=VAE["evaluation_samples"],
            bound_samples=VAE["bound_samples"],
            learning=lambda wildcards: learning_settings([wildcards.estimator]),
            pretraining_steps=lambda wildcards: (
                VAE["pretraining_steps"] if REGISTRY[wildcards.estimator].learns else 0
            ),
            surrogate=surrogate_settings("vae"),
        script:
            "../scripts/train_vae.py"


rule measure_variance:
    input:
        images=f"{RESULTS}/data/{{dataset}}.npz",
        checkpoints=[
            f"{RESULTS}/{VAE_RUN}/checkpoint_{step}.pt" for step in CHECKPOINT_STEPS
        ],
    output:
        table=f"{RESULTS}/{VAE_RUN}/variance.csv",
    log:
        f"{LOGS}/{VAE_RUN}/variance.log",
    benchmark:
        f"{BENCHMARKS}/{VAE_RUN}/variance.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(480),
        gpu=GPUS,
    params:
        **MODEL_PARAMS,
        code=sources(
            "experiments.vae.variance",
            "data.images",
            "runs.jobs",
            "runs.tables",
            estimators=VAE["estimators"],
        ),
        estimators=VAE["estimators"],
        tuning_block=VAE["variance"]["tuning_block"],
        tuning_steps=VAE["variance"]["tuning_steps"],
        minibatches=VAE["variance"]["minibatches"],
        draws=VAE["variance"]["draws"],
        learning=learning_settings(VAE["estimators"]),
        surrogate=in_one_order(VAE["surrogate"]),
    script:
        "../scripts/measure_variance.py"


rule midtraining:
    input:
        images=f"{RESULTS}/data/{{dataset}}.npz",
        checkpoint=f"{RESULTS}/{VAE_RUN}/checkpoint_{HALFWAY}.pt",
    output:
        midtraining=f"{RESULTS}/{VAE_RUN}/midtraining.csv",
        gradients=f"{RESULTS}/{VAE_RUN}/gradients.csv",
        assumptions=f"{RESULTS}/{VAE_RUN}/assumptions.csv",
    log:
        f"{LOGS}/{VAE_RUN}/midtraining.log",
    benchmark:
        f"{BENCHMARKS}/{VAE_RUN}/midtraining.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(480),
        gpu=GPUS,
    params:
        **MODEL_PARAMS,
        code=sources(
            "experiments.vae.midtraining",
            "data.images",
            "runs.jobs",
            "runs.tables",
            estimators=HALFWAY_ESTIMATORS,
        ),
        tuning_steps=VAE["midtraining"]["tuning_steps"],
        measurements=VAE["midtraining"]["measurements"],
        minibatches=VAE["midtraining"]["minibatches"],
        draws=VAE["midtraining"]["draws"],
        learning=learning_settings(HALFWAY_ESTIMATORS),
        surrogate=in_one_order(VAE["surrogate"]),
    script:
        "../scripts/midtraining.py"


rule pictures:
    input:
        images=f"{RESULTS}/data/{{dataset}}.npz",
        best_model=f"{RESULTS}/{VAE_RUN}/best.pt",
    output:
        table=f"{RESULTS}/{VAE_RUN}/pictures.csv",
    log:
        f"{LOGS}/{VAE_RUN}/pictures.log",
    benchmark:
        f"{BENCHMARKS}/{VAE_RUN}/pictures.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(10),
    params:
        code=sources(
            "experiments.vae.pictures", "data.images", "runs.jobs", "runs.tables"
        ),
        latents=VAE["latents"],
        outcomes=OUTCOMES,
    script:
        "../scripts/pictures.py"


use rule figure_1 as figure_3 with:
    input:
        training=training_tables,
    output:
        **figure_outputs("fig3_vae_training", "Discrete VAE", "training"),
    log:
        f"{LOGS}/figures/fig3_vae_training.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig3_vae_training.tsv"
    localrule: True
    params:
        code=figure_sources("vae.figures"),
        figure="vae.figures.fig3_vae_training",
        joined=LATENTS_TOLD,


use rule figure_1 as figure_4 with:
    input:
        training=training_tables,
        variance=variance_tables,
    output:
        **figure_outputs("fig4_vae_variance", "Discrete VAE", "gradient variance"),
    log:
        f"{LOGS}/figures/fig4_vae_variance.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig4_vae_variance.tsv"
    localrule: True
    params:
        code=figure_sources("vae.figures"),
        figure="vae.figures.fig4_vae_variance",
        joined=LATENTS_TOLD,


use rule figure_1 as figure_5 with:
    input:
        training=training_tables,
        midtraining=midtraining_tables,
        gradients=gradient_tables,
    output:
        **figure_outputs(
            "fig5_vae_midtraining", "Discrete VAE", "halfway through training"
        ),
    log:
        f"{LOGS}/figures/fig5_vae_midtraining.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig5_vae_midtraining.tsv"
    localrule: True
    params:
        code=figure_sources("vae.figures"),
        figure="vae.figures.fig5_vae_midtraining",
        joined=LATENTS_TOLD,


use rule figure_1 as figure_12 with:
    input:
        pictures=picture_tables,
    output:
        **figure_outputs(
            "fig12_vae_pictures", "Discrete VAE", "reconstructions and samples"
        ),
    log:
        f"{LOGS}/figures/fig12_vae_pictures.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig12_vae_pictures.tsv"
    localrule: True
    params:
        code=figure_sources("vae.picture_figures"),
        figure="vae.picture_figures.fig12_vae_pictures",


use rule table_toy as table_vae with:
    input:
        training=training_tables,
        best=best_tables,
    output:
        **table_outputs("vae", "Discrete VAE", "best ELBOs"),
    log:
        f"{LOGS}/tables/vae.log",
    benchmark:
        f"{BENCHMARKS}/tables/vae.tsv"
    localrule: True
    params:
        code=table_sources("vae.summary"),
        summary="vae.summary",
        joined=LATENTS_TOLD,


use rule table_toy as table_midtraining with:
    input:
        training=training_tables,
        midtraining=midtraining_tables,
    output:
        **table_outputs("midtraining", "Discrete VAE", "halfway through training"),
    log:
        f"{LOGS}/tables/midtraining.log",
    benchmark:
        f"{BENCHMARKS}/tables/midtraining.tsv"
    localrule: True
    params:
        code=table_sources("vae.midtraining_summary"),
        summary="vae.midtraining_summary",


use rule table_toy as table_gradients with:
    input:
        training=training_tables,
        gradients=gradient_tables,
        assumptions=assumption_tables,
    output:
        **table_outputs("gradients", "Discrete VAE", "gradients halfway"),
    log:
        f"{LOGS}/tables/gradients.log",
    benchmark:
        f"{BENCHMARKS}/tables/gradients.tsv"
    localrule: True
    params:
        code=table_sources("vae.gradient_summary"),
        summary="vae.gradient_summary",


# For `all`, the report and the ledger of claims.
FIGURES_MADE += [getattr(rules, f"figure_{number}").output for number in (3, 4, 5, 12)]
TABLES_MADE += [
    rules.table_vae.output,
    rules.table_midtraining.output,
    rules.table_gradients.output,
]
RESULTS_MADE += [
    training_tables,
    best_tables,
    variance_tables,
    midtraining_tables,
    gradient_tables,
    assumption_tables,
    picture_tables,
    expand(f"{RESULTS}/data/{{dataset}}.npz", dataset=VAE["datasets"]),
]
CLAIMS["vae"] = {
    "training": training_tables,
    "best": best_tables,
    "variance": variance_tables,
    "midtraining": midtraining_tables,
    "assumptions": assumption_tables,
}
