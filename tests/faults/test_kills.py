"""kill -9 at random moments, of jobs, of Snakemake and of both: nothing is lost, nothing wrong."""

import random
import re
import signal
import subprocess
import time
from contextlib import suppress

import psutil
import pytest
from faults.processes import CONFIG, RESULTS, Pipeline, command, products, states
from workflow.project import Project, write_config

KILLS = 21
STEPS = 3000
# It saves, and keeps checkpoints, so often that some of each come before every few kills.
LONGER = {"vae.steps": STEPS, "vae.save_every": 0.03, "vae.checkpoints": 12}
VICTIMS = ("job", "snakemake", "both")


def newest_states(project):
    """The step of the newest saved state of each unfinished run, by its folder."""
    steps = {}
    for path in states(project.path / RESULTS):
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


def wait_for_a_moment(project, rng, seconds):
    """Sleep for up to so many seconds, but on no machine until a run has gone far from here."""
    start, far = newest_states(project), rng.uniform(0, STEPS / (2 * KILLS))
    deadline = time.monotonic() + rng.uniform(0, seconds)
    while time.monotonic() < deadline:
        if any(step - start.get(run, 0) > far for run, step in newest_states(project).items()):
            time.sleep(rng.uniform(0, LONGER["vae.save_every"]))  # not always just after a save
            return
        time.sleep(0.01)


def kill(pipeline, victim, rng, others_go_on):
    """kill -9; the other jobs are then asked to stop, as the message to the user advises."""
    jobs = pipeline.jobs()
    if victim in ("snakemake", "both"):
        pipeline.process.kill()
    if victim in ("job", "both"):
        for job in jobs if victim == "both" else rng.sample(jobs, min(1, len(jobs))):
            job.kill()
    for job in [] if others_go_on else jobs:
        with suppress(psutil.NoSuchProcess):
            job.terminate()
    pipeline.wait()
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
    resumed = 0
    saved = {}
    for kills in range(KILLS):
        pipeline = Pipeline(project, config=config)
        # At any moment of a start, and at any moment of training, in turn.
        saves = project.path / RESULTS if kills % 2 else None
        trains = pipeline.wait_for_training(saves)
        assert trains, f"it ended after {kills} kills: make it longer\n{pipeline.output}"
        wait_for_a_moment(project, rng, 1.5 if saves else 4.5)
        # The last time that one job is killed, Snakemake waits until the other has ended.
        kill(pipeline, VICTIMS[kills % 3], rng, others_go_on=kills == KILLS - 3)
        assert "Traceback (most recent call last)" not in pipeline.output
        for folder, step in continued(project).items():
            if step is not None and folder in saved:
                # What was saved is what it went on from: nothing before it is trained again.
                assert step >= saved[folder]
                resumed += 1
        saved = newest_states(project)
        unlock = subprocess.run(
            [*command(config=config), "--unlock"],
            cwd=project.path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert unlock.returncode == 0, unlock.stderr
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
