# Reinforcement learning: policies trained in the environments of gymnasium.
RL = config["rl"]
RATES = "lr{learning_rate}/c{surrogate_learning_rate}"
POLICY = f"rl/{{task}}/{{estimator}}/{RATES}/seeds{{first}}-{{last}}"
# What spans the runs of a task or judges them, and is no setting of a single one.
NO_SETTING_OF_A_RUN = (
    "estimators",
    "learning_rates",
    "surrogate_learning_rates",
    "solved",
)
SOLVED = {
    task: float("nan" if (bar := RL["environments"][task]["solved"]) is None else bar)
    for task in RL["tasks"]
}
# Packed runs tell their own.
JOINED |= {} if PACKED else {"policies": {"solved": ("task", SOLVED)}}


policy_tables = task_tables("training", RL["tasks"])
# Whether there is more to tell of rates than the best pair, which the other tables show.
SEVERAL_RATES = PACKED or any(
    len(RL["environments"][task][key]) > 1
    for task in RL["tasks"]
    for key in ("learning_rates", "surrogate_learning_rates")
)
# Pictures can be drawn of this environment only.
CARTPOLES = [
    task for task in RL["tasks"] if RL["environments"][task]["id"].startswith(DRAWN)
]


rule train_policy:
    input:
        files=environment_files,
    output:
        table=f"{RESULTS}/{POLICY}/training.csv",
        shown=f"{RESULTS}/{POLICY}/shown.csv",
        policy=f"{RESULTS}/{POLICY}/policy.pt",
    log:
        f"{LOGS}/{POLICY}/training.log",
    benchmark:
        f"{BENCHMARKS}/{POLICY}/training.tsv"
    conda:
        "../../envs/relax.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(1440),
    params:
        code=estimator_sources(
            "experiments.control.training", "runs.resume", "runs.jobs", "runs.tables"
        ),
        environment=lambda wildcards: in_one_order(
            {
                key: value
                for key, value in RL["environments"][wildcards.task].items()
                if key not in NO_SETTING_OF_A_RUN
            }
        ),
    script:
        "../scripts/train_policy.py"


use rule figure_1 as figure_11 with:
    input:
        policies=policy_tables,
    output:
        **figure_outputs("fig11_rl", "Reinforcement learning", "training"),
    log:
        f"{LOGS}/figures/fig11_rl.log",
    benchmark:
        f"{BENCHMARKS}/figures/fig11_rl.tsv"
    localrule: True
    params:
        code=figure_sources("control.figures"),
        figure="control.figures.fig11_rl",
        joined=JOINED,


use rule table_toy as table_rl with:
    input:
        policies=policy_tables,
    output:
        **table_outputs("rl", "Reinforcement learning", "episodes to solve"),
    log:
        f"{LOGS}/tables/rl.log",
    benchmark:
        f"{BENCHMARKS}/tables/rl.tsv"
    localrule: True
    params:
        code=table_sources("control.summary"),
        summary="control.summary",
        joined=JOINED,


# For `all`, the report and the ledger of claims.
FIGURES_MADE += [rules.figure_11.output]
TABLES_MADE += [rules.table_rl.output]
RESULTS_MADE += [policy_tables]
CLAIMS["control"] = {"policies": policy_tables}


if SEVERAL_RATES:

    use rule table_toy as table_rl_rates with:
        input:
            policies=policy_tables,
        output:
            **table_outputs("rl_rates", "Reinforcement learning", "learning rates"),
        log:
            f"{LOGS}/tables/rl_rates.log",
        benchmark:
            f"{BENCHMARKS}/tables/rl_rates.tsv"
        localrule: True
        params:
            code=table_sources("control.rates_summary"),
            summary="control.rates_summary",
            joined=JOINED,

    TABLES_MADE += [rules.table_rl_rates.output]


if CARTPOLES:

    use rule figure_1 as figure_13 with:
        input:
            policies=task_tables("training", CARTPOLES),
            shown=task_tables("shown", CARTPOLES),
        output:
            **figure_outputs(
                "fig13_cartpole", "Reinforcement learning", "trained policies"
            ),
        log:
            f"{LOGS}/figures/fig13_cartpole.log",
        benchmark:
            f"{BENCHMARKS}/figures/fig13_cartpole.tsv"
        localrule: True
        params:
            code=figure_sources("control.figures"),
            figure="control.figures.fig13_cartpole",

    FIGURES_MADE += [rules.figure_13.output]
