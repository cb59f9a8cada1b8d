"""A table of one's own for structure learning: found, or refused before anything is trained."""

import pandas as pd
import pytest
import yaml
from workflow.project import TINY, Project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project's sources with two files of the user's beside them."""
    made = Project.fresh(tmp_path_factory.mktemp("structure") / "project")
    (made.path / "good.csv").write_text("a,b\n1,2\n2,1\n4,5\n3,9\n", encoding="utf-8")
    (made.path / "bad.csv").write_text("a,b\n1,2\n2,2\n4,2\n3,2\n", encoding="utf-8")
    return made


def configured(project, file, nodes=()):
    """The path of the tiny configuration with the user's table, and no random graph to learn."""
    config = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    config["structure"] |= {"file": file, "random": {"nodes": [*nodes], "estimators": []}}
    path = project.path / "own.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def test_a_table_is_trained_on(project):
    """Every job that reads it is planned, and those of other experiments are not touched by it."""
    jobs = project.planned("figure_18", config=configured(project, "good.csv"))
    trained = [f"train_structure {name}" for name in ("relax", "rloo")]
    assert jobs == sorted(["figure_18", "structure_graphs", *trained])


def test_random_graphs_that_nobody_learns_are_not_drawn(project):
    """Sizes without estimators: the table and the figures are of the user's table alone."""
    config = configured(project, "good.csv", nodes=[4])
    targets = ("table_structure", "figure_17", "figure_18", "claims_structure")
    run = project.snakemake(*targets, "--cores", "2", config=config)
    assert run.returncode == 0, run.stdout
    results = project.path / "results" / "tiny"
    for table in ("tables/structure.csv", "structure/graphs.csv"):
        assert set(pd.read_csv(results / table).problem) == {"data"}


def test_a_file_that_is_not_there_is_named(project):
    config = configured(project, "absent.csv")
    run = project.snakemake("figure_18", "--dry-run", config=config)
    assert run.returncode != 0
    assert "structure.file: there is no file 'absent.csv'" in run.stdout


def test_a_bad_table_stops_before_it_is_trained_on(project):
    """The first job names the column; no other has begun."""
    run = project.snakemake("figure_18", "--cores", "2", config=configured(project, "bad.csv"))
    assert run.returncode != 0
    assert "error: 'bad.csv': column 'b' is constant; leave it out" in run.stdout
    assert "rule train_structure" not in run.stdout
