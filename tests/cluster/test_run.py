"""The whole pipeline through the profile."""

import pytest
from cluster.conftest import made
from cluster.runs import run
from workflow.project import TINY, Project

# What is worth a job; the other rules, seconds each, run where snakemake runs.
JOBS = {
    "theory": 1,
    "train_toy": 5,
    "train_categorical_toy": 5,
    "tune_relaxation": 2,
    "train_vae": 3,
    "measure_variance": 1,
    "midtraining": 1,
    "pictures": 1,
    "train_policy": 2,
}


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The pipeline run here, without a cluster."""
    project = Project.fresh(tmp_path_factory.mktemp("local") / "project")
    done = project.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    return made(project)


def test_a_cluster_makes_the_same_files(cluster, local, tmp_path):
    """Every table, figure, model and checkpoint, byte for byte, from a folder with an odd name."""
    project = Project.fresh(tmp_path / "étude sur Slurm")
    before = len(cluster.jobs())
    done = run(project, cluster, config=TINY)
    assert done.returncode == 0, done.stdout
    rules = [line.split()[1][:-1] for line in done.stdout.splitlines() if line[:5] == "rule "]
    assert {rule: rules.count(rule) for rule in rules} == JOBS
    jobs = cluster.jobs()[before:]
    assert [state for _, state, _, _ in jobs] == ["COMPLETED"] * sum(JOBS.values())
    assert {(memory, limit) for _, _, memory, limit in jobs} == {
        ("2000M", "1:00:00"),
        ("4000M", "1-00:00:00"),
        ("4000M", "8:00:00"),
        ("4000M", "10:00"),
    }
    files = made(project)
    assert len([name for name in files if name.endswith((".csv", ".svg", ".pdf"))]) > 40
    assert files == local


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
