"""snakemake through the Slurm profile, while a test does something to the cluster."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
from cluster.slurm import wait_until

# The profile as it is, but asking for the jobs' states sooner: the jobs here take seconds.
PROFILE = ("--workflow-profile", "workflow/profiles/slurm")
SOONER = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5")


def run(project, cluster, *arguments, config):
    """Run snakemake to its end; the completed process."""
    return project.snakemake(
        *arguments, *PROFILE, *SOONER, config=config, environment=cluster.environment
    )


@contextmanager
def running(*arguments, **options):
    """The same in the background: yields what will hold the completed process."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(run, *arguments, **options)


def halted_training(cluster, project, folder):
    """Halt the training in its midst, its first checkpoint kept: the job's id, its process."""
    runs = project.path / folder / "unfinished"
    wait_until(lambda: list(runs.glob("*/checkpoint_0")), 240, "the first checkpoint")
    (process,) = [p for p in cluster.processes() if _trains(p)]
    process.suspend()
    if (project.path / folder / "training.csv").exists():
        process.resume()  # or the run that a test waits for would never end
        raise AssertionError("the training has ended: make it longer")
    (job,) = cluster.running()
    return job, process


def _trains(process):
    try:
        words = process.cmdline()
    except psutil.Error:  # it has ended since it was found
        return False
    return bool(words) and words[-1].endswith("train_vae.py")
