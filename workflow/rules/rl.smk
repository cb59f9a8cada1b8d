# Reinforcement learning: policies trained in the environments of gymnasium.
RL = config["rl"]
POLICY = (
    "rl/{task}/{estimator}/lr{learning_rate}/c{surrogate_learning_rate}"
    "/seeds{first}-{last}"
)
# What spans the runs of a task, and is no setting of a single one.
GRIDS = ("estimators", "learning_rates", "surrogate_learning_rates")


def policy_runs(task):
    """Of a task, each estimator with its pairs of rates; without a surrogate, its first ones."""
    block = RL["environments"][task]
    rates = block["surrogate_learning_rates"]
    return [
        (name, rate, own)
        for name in block["estimators"]
        for rate in block["learning_rates"]
        for own in (rates if REGISTRY[name].learns else rates[:1])
    ]


def task_tables(table, tasks):
    """Paths of this table of every run of these tasks."""
    return [
        f"{RESULTS}/rl/{task}/{name}/lr{rate}/c{own}/seeds{seeds}/{table}.csv"
        for task in tasks
        for name, rate, own in policy_runs(task)
        for seeds in seed_ranges("rl")
    ]


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
        environment=lambda wildcards: {
            key: value
            for key, value in RL["environments"][wildcards.task].items()
            if key not in GRIDS
        },
    script:
        "../scripts/train_policy.py"
