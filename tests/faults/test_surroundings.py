"""Folders that cannot be written, and work in another directory: it works, or says why."""

import hashlib
import subprocess

import numpy as np
from faults.processes import CONFIG, Pipeline
from workflow.project import ROOT, TINY, write_config

QUICK = ("table_toy", "figure_1")


def test_a_home_that_cannot_be_written(project, tmp_path):
    """Only Snakemake's own cache is kept there: the error names it, and it can lie elsewhere."""
    home = tmp_path / "home"
    home.write_text("a file, not a folder")
    elsewhere = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    refused = Pipeline(project, *QUICK, environment=elsewhere)
    assert refused.wait() != 0
    assert f"Not a directory: '{home}/snakemake'" in refused.output
    elsewhere["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    pipeline = Pipeline(project, *QUICK, environment=elsewhere)
    assert pipeline.wait() == 0, pipeline.output
    assert (project.path / "figures/faults/fig1_toy_training.pdf").is_file()


def test_make_does_not_need_the_home(project, tmp_path):
    """It keeps that cache in the working directory where the home cannot be written."""
    (tmp_path / "file").touch()
    (tmp_path / "home").mkdir()
    for home, expected in (("file", str(project.path / ".snakemake/cache")), ("home", "")):
        command = [
            "make",
            "-s",
            "-f",
            ROOT / "Makefile",
            "--eval",
            "show:; @echo $${XDG_CACHE_HOME-}",
        ]
        run = subprocess.run(
            [*command, "show"],
            cwd=project.path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / home)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == expected


def test_results_that_cannot_be_written(project, read_only):
    """An error that names them, before anything is computed."""
    (project.path / "results").symlink_to(read_only("disk"), target_is_directory=True)
    pipeline = Pipeline(project, *QUICK)
    assert pipeline.wait() != 0
    assert "Read-only file system: '" in pipeline.output
    assert "results/faults" in pipeline.output
    assert not (project.path / "figures").exists()


def images(place):
    rng = np.random.default_rng(0)
    np.savez(place / "images.npz", images=rng.random((60, 12)), test=rng.random((20, 12)))


def own_data(folder, place, **source):
    """The tiny preset on images of that place."""
    digest = hashlib.sha256((place / "images.npz").read_bytes()).hexdigest()
    declaration = {
        "format": "npz",
        "files": {"images.npz": source | {"sha256": digest}},
        "splits": {"train": {"key": "images"}, "valid": {"held_out": 15}},
        "shape": [3, 4],
        "binarize": "threshold",
    }
    changes = {"data.sets.mine": declaration, "vae.datasets": ["mine"]}
    return write_config(folder, {"preset": "faults", "data.mirror": str(place)} | changes, TINY)


def test_data_that_cannot_be_written(project, read_only, tmp_path):
    """A read-only mirror, or a file of one's own on a read-only disk, is read, and no more."""
    place = read_only("data", images)
    target = "results/faults/vae/mine/linear1/rebar/lr0.001/seeds0-1/training.csv"
    for source in ({"url": "http://127.0.0.1:1/images.npz"}, {"path": str(place / "images.npz")}):
        run = project.snakemake(
            target, "--cores", "2", "--forceall", config=own_data(tmp_path, place, **source)
        )
        assert run.returncode == 0, run.stdout
    assert [path.name for path in place.iterdir()] == ["images.npz"]


def test_downloads_that_cannot_be_written(project, read_only, tmp_path):
    """resources/ on a read-only disk: what is there is used, what is not there is asked for."""
    source = tmp_path / "source"
    source.mkdir()
    images(source)
    config = own_data(tmp_path, source, path=str(source / "images.npz"))

    def filled(place):
        (place / "mine").mkdir()
        (place / "mine" / "images.npz").write_bytes((source / "images.npz").read_bytes())

    target = "results/faults/data/mine.npz"
    resources = project.path / "resources"
    resources.symlink_to(read_only("empty"), target_is_directory=True)
    run = project.snakemake(target, "--cores", "1", config=config)
    assert run.returncode != 0
    assert "Read-only file system: 'resources/mine'" in run.stdout
    resources.unlink()
    resources.symlink_to(read_only("full", filled), target_is_directory=True)
    run = project.snakemake(target, "--cores", "1", config=config)
    assert run.returncode == 0, run.stdout


def test_another_working_directory(project, tmp_path):
    """--directory, relative too: everything is made there, and nothing beside the Snakefile."""
    before = sorted(project.path.iterdir())
    place = tmp_path / "là bas"
    place.mkdir()
    run = project.snakemake(
        *QUICK, "--cores", "2", "--directory", "../là bas", config=CONFIG.resolve()
    )
    assert run.returncode == 0, run.stdout
    assert (place / "figures/faults/fig1_toy_training.pdf").is_file()
    assert (place / "results/faults/tables/toy.csv").is_file()
    assert sorted(project.path.iterdir()) == before
    again = project.snakemake(
        *QUICK, "--dry-run", "--directory", "../là bas", config=CONFIG.resolve()
    )
    assert "Nothing to be done" in again.stdout
