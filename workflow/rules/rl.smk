# Reinforcement learning: policies trained in the environments of gymnasium.
RL = config["rl"]
RATES = "lr{learning_rate}/c{surrogate_learning_rate}"
POLICY = f"rl/{{task}}/{{estimator}}/{RATES}/seeds{{first}}-{{last}}"
# What spans the runs of a task, and is no setting of a single one.
GRIDS = ("estimators", "learning_rates", "surrogate_learning_rates")


policy_tables = task_tables("training", RL["tasks"])
# Pictures can be drawn of this environment only.
CARTPOLES = [
    task
    for task in RL["tasks"]
    if RL["environments"][task]["id"].startswith("CartPole-")
]


rule train_policy:
    input:
        code=estimator_sources("problems.control_training", "resume", "jobs", "tables"),
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
        environment=lambda wildcards: in_one_order(
            {
                key: value
                for key, value in RL["environments"][wildcards.task].items()
                if key not in GRIDS
            }
        ),
    script:
        "../scripts/train_policy.py"
