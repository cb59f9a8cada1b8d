"""Damaged states, a full disk, and two pipelines at once."""

import os
from contextlib import suppress

import psutil
import pytest
from faults.processes import CONFIG, RESULTS, Pipeline, products


def stop_midway(project):
    """Kill a run once it has saved states."""
    pipeline = Pipeline(project)
    assert pipeline.wait_for_training(saves_in=project.path / RESULTS)
    jobs = pipeline.jobs()
    pipeline.process.terminate()
    for job in jobs:
        job.terminate()
    pipeline.wait()
    psutil.wait_procs(jobs, timeout=60)


@pytest.mark.parametrize("damage", ["flipped", "foreign"])
def test_damaged_states_are_named_and_never_used(undisturbed, project, damage):
    """Every state and kept checkpoint damaged: the runs start anew, and end the same.

    Those of another version of the code are whole: they are left to that version.
    """
    stop_midway(project)
    found = (project.path / RESULTS).rglob("unfinished/*/*")  # a folder an identity
    files = [path for path in found if path.name != "lock"]
    assert files
    for path in files:
        data = bytearray(path.read_bytes())
        if damage == "flipped":
            data[len(data) // 3] ^= 4
        path.write_bytes(data)
    if damage == "foreign":  # another version of the code: a name more in what trains
        source = project.path / "src/relax/runs/progress.py"
        source.write_text(source.read_text() + "\nANOTHER_VERSION = True\n")
    again = Pipeline(project)
    assert again.wait() == 0, again.output
    logs = "".join(
        p.read_text() for p in (project.path / RESULTS / "logs/vae").rglob("training.log")
    )
    said = "also holds what other settings" if damage == "foreign" else "is damaged"
    assert said in logs
    assert "continuing after" not in logs
    made = products(project)
    assert {path: made[path] for path in made if "unfinished" not in path} == undisturbed
    assert [path.exists() for path in files] == [damage == "foreign"] * len(files)


def test_two_pipelines_in_one_directory(undisturbed, project):
    """The second of the same preset says that the first is at work, and touches nothing."""
    first = Pipeline(project)
    assert first.wait_for_training()
    at_work = psutil.Process(first.process.pid)
    at_work.suspend()  # or it could end before the second has asked for the lock
    second = project.snakemake("table_vae", "--cores", "1", config=CONFIG)
    at_work.resume()
    assert second.returncode != 0
    assert "cannot be locked" in second.stdout
    assert first.wait() == 0, first.output
    assert products(project) == undisturbed


# What is being written when the disk is full, and how many pages are left, for a log at the most.
STAGES = {
    f"{RESULTS}/data/digits.npz": 2,
    f"{RESULTS}/vae/digits/linear2/relax/lr0.001/seeds0-1/checkpoint_0.pt": 2,
    "table_vae": 0,
    "figure_3": 0,
}


def fill(place, pages):
    """Leave so many pages of a file system."""
    with open(place / "filler", "wb", buffering=0) as filler:
        with suppress(OSError):
            while True:
                filler.write(bytes(os.sysconf("SC_PAGESIZE")))
        filler.truncate(filler.tell() - pages * os.sysconf("SC_PAGESIZE"))


def test_a_full_disk_is_an_error_and_space_mends_it(undisturbed, project, disk):
    """Nothing that looks complete is left; after space is made the same command succeeds."""
    small = disk("small", "size=4m")
    for top in ("results", "figures"):
        (small / top).mkdir()
        (project.path / top).symlink_to(small / top, target_is_directory=True)
    for target, pages in STAGES.items():
        fill(small, pages)
        full = Pipeline(project, target)
        assert full.wait() != 0
        assert "No space left on device" in full.output
        made = products(project)
        assert {path: made[path] for path in made if "unfinished" not in path}.items() <= (
            undisturbed.items()
        )
        (small / "filler").unlink()
        again = Pipeline(project, target)
        assert again.wait() == 0, again.output
    again = Pipeline(project)
    assert again.wait() == 0, again.output
    assert products(project) == undisturbed
