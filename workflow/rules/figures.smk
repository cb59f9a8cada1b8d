# The figures: each reads tables and nothing else, and comes as pdf, png and svg.


# Seconds each: on a cluster they run where snakemake runs.
localrules:
    figure_1,
    figure_2,
    figure_3,
    figure_4,
    figure_5,
    figure_6,
    figure_7,
    figure_8,
    figure_9,
    figure_10,
    figure_11,
    figure_12,


rule figure_1:
    input:
        toy=toy_tables,
        categorical=categorical_tables,
        code=sources("figures.toy", "registry", "jobs", "tables"),
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
        categorical=categorical_tables,
        code=sources("figures.toy", "registry", "jobs", "tables"),
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
        code=sources("figures.vae", "registry", "jobs", "tables"),
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
        code=sources("figures.vae", "registry", "jobs", "tables"),
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


rule figure_5:
    input:
        training=training_tables,
        midtraining=midtraining_tables,
        code=sources("figures.vae", "registry", "jobs", "tables"),
    output:
        **figure_outputs(
            "fig5_vae_midtraining", "Discrete VAE", "halfway through training"
        ),
    log:
        f"{LOGS}/figures/fig5_vae_midtraining.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig5_vae_midtraining.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figure="vae.fig5_vae_midtraining",
    script:
        "../scripts/plot.py"


rule figure_6:
    input:
        relaxations=rules.theory.output.relaxations,
        code=sources("figures.theory", "registry", "jobs", "tables"),
    output:
        **figure_outputs(
            "fig6_optimal_relaxation", "Optimal relaxation", "optimal relaxation"
        ),
    log:
        f"{LOGS}/figures/fig6_optimal_relaxation.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig6_optimal_relaxation.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figure="theory.fig6_optimal_relaxation",
    script:
        "../scripts/plot.py"


rule figure_7:
    input:
        optimum=rules.theory.output.optimum,
        code=sources("figures.theory", "registry", "jobs", "tables"),
    output:
        **figure_outputs(
            "fig7_optimum_vs_theta", "Optimal relaxation", "optimum against theta"
        ),
    log:
        f"{LOGS}/figures/fig7_optimum_vs_theta.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig7_optimum_vs_theta.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figure="theory.fig7_optimum_vs_theta",
    script:
        "../scripts/plot.py"


rule figure_8:
    input:
        concrete=rules.theory.output.concrete,
        code=sources("figures.theory", "registry", "jobs", "tables"),
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
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figure="theory.fig8_concrete_bias_variance",
    script:
        "../scripts/plot.py"


rule figure_9:
    input:
        terms=rules.theory.output.terms,
        code=sources("figures.theory", "registry", "jobs", "tables"),
    output:
        **figure_outputs(
            "fig9_estimator_terms", "Optimal relaxation", "terms of the estimate"
        ),
    log:
        f"{LOGS}/figures/fig9_estimator_terms.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig9_estimator_terms.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figure="theory.fig9_estimator_terms",
    script:
        "../scripts/plot.py"


rule figure_10:
    input:
        eta=rules.theory.output.eta,
        code=sources("figures.theory", "registry", "jobs", "tables"),
    output:
        **figure_outputs("fig10_eta", "Optimal relaxation", "the scale eta"),
    log:
        f"{LOGS}/figures/fig10_eta.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig10_eta.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figure="theory.fig10_eta",
    script:
        "../scripts/plot.py"


rule figure_11:
    input:
        policies=policy_tables,
        code=sources("figures.control", "registry", "jobs", "tables"),
    output:
        **figure_outputs("fig11_rl", "Reinforcement learning", "training"),
    log:
        f"{LOGS}/figures/fig11_rl.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig11_rl.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figure="control.fig11_rl",
    script:
        "../scripts/plot.py"


rule figure_12:
    input:
        pictures=picture_tables,
        code=sources("figures.pictures", "registry", "jobs", "tables"),
    output:
        **figure_outputs(
            "fig12_vae_pictures", "Discrete VAE", "reconstructions and samples"
        ),
    log:
        f"{LOGS}/figures/fig12_vae_pictures.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig12_vae_pictures.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        figure="pictures.fig12_vae_pictures",
    script:
        "../scripts/plot.py"


if CARTPOLES:

    localrules:
        figure_13,

    rule figure_13:
        input:
            policies=task_tables("training", CARTPOLES),
            shown=task_tables("shown", CARTPOLES),
            code=sources("figures.control", "registry", "jobs", "tables"),
        output:
            **figure_outputs(
                "fig13_cartpole", "Reinforcement learning", "trained policies"
            ),
        log:
            f"{LOGS}/figures/fig13_cartpole.log",
        benchmark:
            f"{BENCHMARKS}/figures/fig13_cartpole.tsv"
        conda:
            "../../envs/relax.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            figure="control.fig13_cartpole",
        script:
            "../scripts/plot.py"


rule figures:
    input:
        rules.figure_1.output,
        rules.figure_2.output,
        rules.figure_3.output,
        rules.figure_4.output,
        rules.figure_5.output,
        rules.figure_6.output,
        rules.figure_7.output,
        rules.figure_8.output,
        rules.figure_9.output,
        rules.figure_10.output,
        rules.figure_11.output,
        rules.figure_12.output,
        rules.figure_13.output if CARTPOLES else [],
