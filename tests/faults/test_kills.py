"""kill -9 at random moments, of jobs, of Snakemake and of both: nothing is lost, nothing wrong."""

import random
import re
import signal
import subprocess
import time

import psutil
import pytest
from faults.processes import CONFIG, RESULTS, Pipeline, command, products
from workflow.project import Project, write_config

KILLS = 21
LONGER = {"vae.steps": 4500}  # so that there is something to kill every time
VICTIMS = ("job", "snakemake", "both")


def newest_states(project):
    """The step of the newest saved state of each unfinished run, by its folder."""
    steps = {}
    for path in (project.path / RESULTS).rglob("state_*"):
        folder = str(path.parent.parent.relative_to(project.path / RESULTS))
        steps[folder] = max(steps.get(folder, 0), int(path.name.removeprefix("state_")))
    return steps


def continued(project):
    """The step after which each run's last start went on, by its folder."""
    logs = project.path / RESULTS / "logs"
    found = {}
    for path in logs.rglob("training.log"):
        line = re.search(r"^continuing after step (\d+)$", path.read_text(), re.MULTILINE)
        found[str(path.parent.relative_to(logs))] = int(line[1]) if line else None
    return found


def kill(pipeline, victim, rng):
    """kill -9; jobs whose Snakemake is gone are then asked to stop, as their message advises."""
    jobs = pipeline.jobs()
    if victim in ("snakemake", "both"):
        pipeline.process.kill()
    if victim in ("job", "both"):
        for job in jobs if victim == "both" else rng.sample(jobs, min(1, len(jobs))):
            job.kill()
    pipeline.wait()
    for job in jobs:
        if job.is_running():
            job.send_signal(signal.SIGTERM)
    psutil.wait_procs(jobs, timeout=60)


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """A configuration with more steps, and what an undisturbed run of it makes."""
    folder = tmp_path_factory.mktemp("longer")
    config = write_config(folder, LONGER, CONFIG)
    project = Project.fresh(folder / "project")
    pipeline = Pipeline(project, config=config)
    assert pipeline.wait() == 0, pipeline.output
    return config, products(project)


def test_killed_again_and_again(longer, project):
    """Twenty-one kills in one run: the same bytes at the end, nothing saved is trained again."""
    config, undisturbed = longer
    rng = random.Random(0)
    resumed, kills = 0, 0
    states = {}
    while kills < KILLS:
        pipeline = Pipeline(project, config=config)
        # At any moment of a start, and at any moment of training, in turn.
        saves = project.path / RESULTS if kills % 2 else None
        if not pipeline.wait_for_training(saves):
            assert pipeline.wait() == 0, pipeline.output
            break
        time.sleep(rng.uniform(0, 1.5 if saves else 4.5))
        kill(pipeline, VICTIMS[kills % 3], rng)
        kills += 1
        assert "Traceback (most recent call last)" not in pipeline.output
        for folder, step in continued(project).items():
            if step is not None and folder in states:
                # What was saved is what it went on from: nothing before it is trained again.
                assert step >= states[folder]
                resumed += 1
        states = newest_states(project)
        unlock = subprocess.run(
            [*command(config=config), "--unlock"],
            cwd=project.path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert unlock.returncode == 0, unlock.stderr
    assert kills >= 20, "the run ended before it was killed often enough: make it longer"
    assert resumed >= 5
    pipeline = Pipeline(project, config=config)
    assert pipeline.wait() == 0, pipeline.output
    assert products(project) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_saves_and_the_next_run_goes_on(undisturbed, project, number):
    """As Ctrl-C in a terminal or a shutdown reach every process: each run saves, and says so."""
    pipeline = Pipeline(project)
    assert pipeline.wait_for_training(saves_in=project.path / RESULTS)
    psutil_jobs = pipeline.jobs()
    for process in (*psutil_jobs, psutil.Process(pipeline.process.pid)):
        process.send_signal(number)
    assert pipeline.wait() != 0
    psutil.wait_procs(psutil_jobs, timeout=60)
    assert "Traceback (most recent call last)" not in pipeline.output
    logs = [p.read_text() for p in (project.path / RESULTS / "logs/vae").rglob("training.log")]
    assert any(re.search(r"interrupted after step \d+; the same command goes on", t) for t in logs)
    again = Pipeline(project)
    assert again.wait() == 0, again.output
    assert any(step for step in continued(project).values())
    assert products(project) == undisturbed
