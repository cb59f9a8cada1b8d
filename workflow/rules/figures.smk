# The figures: each reads tables and nothing else, and comes as pdf, png and svg.


rule figure_1:
    input:
        toy=toy_tables,
        code=sources("figures.toy", "jobs", "tables"),
    output:
        **figure_outputs("fig1_toy_training", "Toy problem", "training"),
    log:
        f"{LOGS}/figures/fig1_toy_training.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig1_toy_training.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figure="toy.fig1_toy_training",
    script:
        "../scripts/plot.py"


rule figure_2:
    input:
        toy=toy_tables,
        relaxation=relaxation_tables,
        code=sources("figures.toy", "jobs", "tables"),
    output:
        **figure_outputs(
            "fig2_toy_variance_relaxation", "Toy problem", "variance and relaxation"
        ),
    log:
        f"{LOGS}/figures/fig2_toy_variance_relaxation.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig2_toy_variance_relaxation.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figure="toy.fig2_toy_variance_relaxation",
    script:
        "../scripts/plot.py"


rule figure_3:
    input:
        training=training_tables,
        code=sources("figures.vae", "jobs", "tables"),
    output:
        **figure_outputs("fig3_vae_training", "Discrete VAE", "training"),
    log:
        f"{LOGS}/figures/fig3_vae_training.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig3_vae_training.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figure="vae.fig3_vae_training",
    script:
        "../scripts/plot.py"


rule figure_4:
    input:
        training=training_tables,
        variance=variance_tables,
        code=sources("figures.vae", "jobs", "tables"),
    output:
        **figure_outputs("fig4_vae_variance", "Discrete VAE", "gradient variance"),
    log:
        f"{LOGS}/figures/fig4_vae_variance.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig4_vae_variance.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figure="vae.fig4_vae_variance",
    script:
        "../scripts/plot.py"


rule figures:
    input:
        rules.figure_1.output,
        rules.figure_2.output,
        rules.figure_3.output,
        rules.figure_4.output,
