"""What a cluster does to jobs: the pipeline ends right, or the same command ends it right."""

import time
from datetime import datetime, timedelta

from cluster.conftest import RUN, made
from cluster.runs import halted_training, run, running

TARGET = f"{RUN}/training.csv"


def since(cluster, first):
    """State, memory and time limit of each job from this one on."""
    return [job[1:] for job in cluster.jobs() if int(job[0]) >= int(first)]


def test_a_cancelled_job(cluster, project, prepared, trained, faults_config):
    """Without retries it fails the run, which keeps no part of its output; then, once more."""
    with running(project, cluster, TARGET, "--retries", "0", config=faults_config) as ended:
        job, _ = halted_training(cluster, project, RUN)
        cluster.command("scancel", job)
        done = ended.result()
    assert done.returncode != 0
    assert "SLURM status is: 'CANCELLED'" in done.stdout
    assert since(cluster, job) == [["CANCELLED", "4000M", "1-00:00:00"]]
    assert made(project) == made(prepared)
    again = run(project, cluster, TARGET, config=faults_config)
    assert again.returncode == 0, again.stdout
    assert made(project) == trained


def test_a_job_over_its_time(cluster, project, trained, faults_config):
    """Slurm ends it; the next attempt has twice the time and the memory, and succeeds."""
    with running(project, cluster, TARGET, config=faults_config) as ended:
        job, _ = halted_training(cluster, project, RUN)
        # The limit is brought forward: waiting for it would take a minute at least.
        soon = (datetime.now() + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S")
        cluster.command("scontrol", "update", f"JobId={job}", f"EndTime={soon}")
        done = ended.result()
    assert done.returncode == 0, done.stdout
    assert "SLURM status is: 'TIMEOUT'" in done.stdout
    first, *rest = since(cluster, job)
    assert first[0] == "TIMEOUT"
    assert rest == [["COMPLETED", "8000M", "2-00:00:00"]]
    assert made(project) == trained


def test_a_job_out_of_memory(cluster, project, trained, faults_config):
    """Slurm kills it; the next attempt has more, and succeeds."""
    # 250 MB hold Python but not PyTorch; the second attempt has 2000.
    little = ("--set-resources", "train_vae:mem_mb=250*attempt*attempt*attempt")
    done = run(project, cluster, TARGET, *little, config=faults_config)
    assert done.returncode == 0, done.stdout
    first, second = cluster.jobs()[-2:]
    assert first[1:3] == ["FAILED", "250M"]
    assert second[1:3] == ["COMPLETED", "2000M"]
    # Of the ways to fail it was this one: Slurm's log of a failed job is kept.
    (log,) = (project.path / ".snakemake" / "slurm_logs").rglob(f"{first[0]}.log")
    assert "exceeded memory limit" in log.read_text(encoding="utf-8")
    assert made(project) == trained


def test_the_controller_restarted(cluster, project, trained, faults_config):
    """Away for some seconds: the job goes on, its state is learned later, nothing is run twice."""
    with running(project, cluster, TARGET, config=faults_config) as ended:
        job, process = halted_training(cluster, project, RUN)
        cluster.stop_daemon("slurmctld")
        process.resume()
        time.sleep(3)
        cluster.start_daemon("slurmctld")
        done = ended.result()
    assert done.returncode == 0, done.stdout
    assert since(cluster, job) == [["COMPLETED", "4000M", "1-00:00:00"]]
    assert made(project) == trained
