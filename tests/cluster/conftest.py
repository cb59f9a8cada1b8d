"""One Slurm cluster for all tests here; and what the pipeline makes without it, to compare with."""

import hashlib
import shutil
import tempfile

import pytest
from cluster.slurm import Cluster, Unavailable, install
from workflow.project import Project, write_config

# Long enough in training to be hit there.
FAULTS = {"preset": "faults", "vae.steps": 4000}
RUN = "results/faults/vae/digits/linear1/rebar/lr0.001/seeds0-1"
IMAGES = "results/faults/data/digits.npz"


def made(project):
    """The content, as a digest, of what the pipeline made; not of logs, times and states."""
    return {
        str(path.relative_to(project.path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("results", "figures")
        for path in (project.path / folder).rglob("*")
        if path.is_file() and not {"logs", "benchmarks", "unfinished"} & set(path.parts)
        if path.stem not in ("provenance", "seconds")
    }


@pytest.fixture(scope="session")
def cluster():
    """The running cluster."""
    try:
        install()
    except Unavailable as reason:
        pytest.skip(str(reason))
    # Not pytest's folder: munge wants one that other users may enter, and a short path.
    base = tempfile.mkdtemp(prefix="relax-slurm-")
    cluster = Cluster(base)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(base)


@pytest.fixture(scope="session")
def faults_config(tmp_path_factory):
    """The configuration of the tests of faults."""
    return write_config(tmp_path_factory.mktemp("config"), FAULTS)


@pytest.fixture(scope="session")
def prepared(cluster, tmp_path_factory, faults_config):
    """A project with its images: what is left for the cluster is a training."""
    project = Project.fresh(tmp_path_factory.mktemp("prepared") / "project")
    run = project.snakemake(IMAGES, "--cores", "1", config=faults_config)
    assert run.returncode == 0, run.stdout
    return project


@pytest.fixture(scope="session")
def trained(prepared, tmp_path_factory, faults_config):
    """What that training leaves when it runs here, and all goes well."""
    project = prepared.copied(tmp_path_factory.mktemp("trained") / "project")
    run = project.snakemake(f"{RUN}/training.csv", "--cores", "1", config=faults_config)
    assert run.returncode == 0, run.stdout
    files = made(project)
    assert f"{RUN}/training.csv" in files
    return files


@pytest.fixture
def project(prepared, tmp_path):
    """A project of its own for a test, with its images."""
    return prepared.copied(tmp_path / "project")
