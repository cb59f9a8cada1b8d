"""Damaged states, a full disk, two pipelines at once, and folders that are not as usual."""

import os
import shutil
import subprocess

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
    """Every state and kept checkpoint damaged: the runs start anew, and end the same."""
    stop_midway(project)
    files = [p for p in (project.path / RESULTS).rglob("unfinished/*") if p.name != "lock"]
    assert files
    for path in files:
        data = bytearray(path.read_bytes())
        if damage == "flipped":
            data[len(data) // 3] ^= 4
        path.write_bytes(data)
    if damage == "foreign":  # another version of the code: a comment more in what trains
        source = project.path / "src/relax/training.py"
        source.write_text(source.read_text() + "\n# another version\n")
    again = Pipeline(project)
    assert again.wait() == 0, again.output
    logs = "".join(
        p.read_text() for p in (project.path / RESULTS / "logs/vae").rglob("training.log")
    )
    said = "of another configuration" if damage == "foreign" else "is damaged"
    assert said in logs
    assert "continuing after" not in logs
    assert products(project) == undisturbed


def test_two_pipelines_in_one_directory(undisturbed, project):
    """The second of the same preset says that the first is at work, and touches nothing."""
    first = Pipeline(project)
    assert first.wait_for_training()
    second = project.snakemake("table_vae", "--cores", "1", config=CONFIG)
    assert second.returncode != 0
    assert "cannot be locked" in second.stdout
    assert first.wait() == 0, first.output
    assert products(project) == undisturbed


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mount.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_an_error_and_space_mends_it(undisturbed, project, small_disk):
    """Nothing that looks complete is left; after space is made the same command succeeds."""
    (project.path / "results").symlink_to(small_disk, target_is_directory=True)
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 2_900_000)
    full = Pipeline(project)
    assert full.wait() != 0
    assert "No space left on device" in full.output
    for path in small_disk.rglob("*"):
        if path.suffix in (".csv", ".pt", ".md"):
            assert undisturbed[f"results/{path.relative_to(small_disk)}"] == path.read_bytes()
    filler.unlink()
    again = Pipeline(project)
    assert again.wait() == 0, again.output
    assert products(project) == undisturbed


def test_a_home_that_cannot_be_written(undisturbed, project, tmp_path):
    """Nothing of it is needed."""
    home = tmp_path / "home"
    home.write_text("a file, not a folder")
    elsewhere = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "MPLCONFIGDIR": str(home)}
    pipeline = Pipeline(project, "table_toy", "figure_1", environment=elsewhere)
    assert pipeline.wait() == 0, pipeline.output


def test_results_that_cannot_be_written(project):
    """Read-only results: an error that names them, and no traceback of ours."""
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    results = project.path / "results"
    results.mkdir()
    results.chmod(0o500)
    pipeline = Pipeline(project)
    assert pipeline.wait() != 0
    assert "results" in pipeline.output
    shutil.rmtree(results)
