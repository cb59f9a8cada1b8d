"""A job of every kind through the profile."""

import pytest
import torch
from cluster.conftest import made
from cluster.runs import run
from workflow.project import TINY, Project, write_config

# Every experiment, but for tables that hold seconds.
TARGETS = [
    *(f"figure_{number}" for number in (4, 5, 6, 11, 12, 17)),
    "table_reparameterization",
    "results/tiny/toy/t0.45/relax/seeds0-1.csv",
    "results/tiny/toy/t0.45/relax/relaxation_seeds0-1.csv",
    "results/tiny/toy/categorical/relax/seeds0-1.csv",
    "results/tiny/benchmark/vae/digits/linear1/disarm/k2/training.csv",
]
# What of it is worth a job; the other rules, seconds each, run where snakemake runs.
JOBS = {
    "theory": 1,
    "train_toy": 1,
    "train_categorical_toy": 1,
    "tune_relaxation": 1,
    "train_vae": 3,
    "measure_variance": 1,
    "midtraining": 1,
    "pictures": 1,
    "train_policy": 2,
    "train_benchmark_vae": 1,
    "reparameterize": 1,
    "train_factors": 1,
    "structure_graphs": 1,
    "train_structure": 2,
}


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The same made here, without a cluster."""
    project = Project.fresh(tmp_path_factory.mktemp("local") / "project")
    done = project.snakemake(*TARGETS, "--cores", "2")
    assert done.returncode == 0, done.stdout
    return made(project)


def test_a_cluster_makes_the_same_files(cluster, local, tmp_path):
    """Every table, figure, model and checkpoint, byte for byte, from a folder with an odd name."""
    project = Project.fresh(tmp_path / "étude sur Slurm")
    before = len(cluster.jobs())
    done = run(project, cluster, *TARGETS, config=TINY)
    assert done.returncode == 0, done.stdout
    rules = [line.split()[1][:-1] for line in done.stdout.splitlines() if line[:5] == "rule "]
    assert {rule: rules.count(rule) for rule in rules} == JOBS
    jobs = cluster.jobs()[before:]
    assert [state for _, state, _, _ in jobs] == ["COMPLETED"] * sum(JOBS.values())
    assert {(memory, limit) for _, _, memory, limit in jobs} == {
        ("2000M", "10:00"),
        ("2000M", "1:00:00"),
        ("2000M", "2:00:00"),
        ("4000M", "1-00:00:00"),
        ("4000M", "8:00:00"),
        ("4000M", "10:00"),
    }
    files = made(project)
    assert len([name for name in files if name.endswith((".csv", ".svg", ".pdf"))]) > 40
    assert files == local


def test_a_gpu_is_asked_for_where_the_configuration_says_so(cluster, tmp_path):
    """`device: cuda`: the training's job has one; here, without a GPU, it ends and says why."""
    project = Project.fresh(tmp_path / "project")
    target = "results/gpu/vae/digits/linear1/rebar/lr0.001/seeds0-1/training.csv"
    config = write_config(tmp_path, {"preset": "gpu", "device": "cuda"})
    done = run(project, cluster, target, "--retries", "0", config=config)
    training = cluster.command("scontrol", "show", "job", cluster.jobs()[-1][0])
    assert "train_vae" in training
    assert "TresPerJob=gres:gpu:1" in training
    if not torch.cuda.is_available():
        assert done.returncode != 0
        log = project.path / "results/gpu/logs/vae/digits/linear1/rebar/lr0.001/seeds0-1"
        assert "torch finds no GPU" in (log / "training.log").read_text(encoding="utf-8")


def test_partition_and_gpu_as_documented(cluster, tmp_path):
    """The options of docs/cluster.md, for the rule named and for no other."""
    project = Project.fresh(tmp_path / "project")
    targets = [f"results/tiny/toy/t0.45/rebar/{name}seeds0-1.csv" for name in ("", "relaxation_")]
    options = ["--default-resources", "slurm_partition=main", "--set-resources"]
    options += ["train_toy:slurm_partition=gpu", "train_toy:gpu=1"]
    done = run(project, cluster, *targets, *options, config=TINY)
    assert done.returncode == 0, done.stdout
    ids = [job[0] for job in cluster.jobs()[-2:]]
    seen = [cluster.command("scontrol", "show", "job", each) for each in ids]
    on_gpu = ["Partition=gpu" in text and "TresPerJob=gres:gpu:1" in text for text in seen]
    on_main = ["Partition=main" in text and "gres:gpu" not in text for text in seen]
    assert sorted(on_gpu) == [False, True]
    assert on_main == [not gpu for gpu in on_gpu]
