"""kill -9 at random moments, of jobs, of Snakemake and of both: nothing is lost, nothing wrong."""

import random
import re
import shutil
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
    for path in states(project.path / RESULTS):  # run / unfinished / identity / state
        folder = str(path.parents[2].relative_to(project.path / RESULTS))
        steps[folder] = max(steps.get(folder, 0), int(path.name.removeprefix("state_")))
    return steps


def last_starts(project):
    """Of each run the text of its last start's log, by its folder."""
    logs = project.path / RESULTS / "logs"
    return {str(p.parent.relative_to(logs)): p.read_text() for p in logs.rglob("training.log")}


def continued(project):
    """The step after which each run's last start went on, by its folder; None: it did not."""
    found = {}
    for folder, text in last_starts(project).items():
        line = re.search(r"^continuing after step (\d+)$", text, re.MULTILINE)
        found[folder] = int(line[1]) if line else None
    return found


def check_resumed(project, saved, before):
    """Every run of which a state was saved went on from there, if it was begun again; how many.

    Args:
        saved: `newest_states` before its last start.
        before: `last_starts` then.
    """
    went_on, resumed = continued(project), 0
    now, logs = newest_states(project), last_starts(project)
    for folder, step in saved.items():
        if logs.get(folder) in (None, before.get(folder)):
            continue  # not begun again
        ended = folder not in now
        if ended or now[folder] != step or went_on[folder] is not None:
            # It has trained, or was about to: from the state and not from the beginning. (What is
            # killed while it starts says nothing yet.)
            assert went_on[folder] is not None, f"{folder} began anew"
            assert went_on[folder] >= step
            resumed += 1
        assert ended or now[folder] >= step, f"{folder} has lost what was saved"
    return resumed


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
    """Twenty-one kills in one run: the same bytes at the end, nothing saved is trained again.

    That every start goes on from what was saved is asserted of each: the same bytes come out of a
    run that begins anew as well.
    """
    config, undisturbed = longer
    rng = random.Random(0)
    resumed = 0
    saved, before = {}, {}
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
        resumed += check_resumed(project, saved, before)
        saved, before = newest_states(project), last_starts(project)
        unlock = subprocess.run(
            [*command(config=config), "--unlock"],
            cwd=project.path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert unlock.returncode == 0, unlock.stderr
    pipeline = Pipeline(project, config=config)
    assert pipeline.wait() == 0, pipeline.output
    assert check_resumed(project, saved, before) == len(saved)
    assert resumed + len(saved) >= KILLS / 2  # as every second kill comes after a new state
    assert products(project) == undisturbed


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler on PATH")
def test_a_compiled_run_killed_ends_in_the_same_bytes(tmp_path):
    """kill -9 of the compiled step, twice after a new state: the next start goes on from it,
    with the program made again; and at the end every byte is that of a run left alone."""
    compiled = {
        "vae.compile": "always",
        "vae.steps": 6000,
        "vae.estimators": ["rebar"],
        "vae.models": ["linear1"],
    }
    config = write_config(tmp_path, LONGER | compiled, CONFIG)
    alone, project = Project.fresh(tmp_path / "alone"), Project.fresh(tmp_path / "killed")
    pipeline = Pipeline(alone, "figure_3", config=config)
    assert pipeline.wait() == 0, pipeline.output
    for _ in range(2):
        saved, before = newest_states(project), last_starts(project)
        pipeline = Pipeline(project, "figure_3", config=config)
        assert pipeline.wait_for_training(project.path / RESULTS), pipeline.output
        (job,) = pipeline.jobs()
        job.kill()
        pipeline.wait()
        assert check_resumed(project, saved, before) == len(saved)
    saved, before = newest_states(project), last_starts(project)
    pipeline = Pipeline(project, "figure_3", config=config)
    assert pipeline.wait() == 0, pipeline.output
    assert check_resumed(project, saved, before) == len(saved) == 1
    (log,) = last_starts(project).values()
    assert "step: compiled" in log
    assert products(project) == products(alone)


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
    stopped = re.compile(r"interrupted after step (\d+); the same command goes on")
    steps = {int(match[1]) for text in logs if (match := stopped.search(text))}
    assert steps
    again = Pipeline(project)
    assert again.wait() == 0, again.output
    # Each that was stopped in training goes on from the very step.
    assert steps <= set(continued(project).values())
    assert products(project) == undisturbed
