"""The undisturbed run, which the others must equal byte for byte."""

import pytest
from faults.processes import Pipeline, products
from workflow.project import Project


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    project = Project.fresh(tmp_path_factory.mktemp("undisturbed") / "project")
    pipeline = Pipeline(project)
    assert pipeline.wait() == 0, pipeline.output
    return products(project)


@pytest.fixture
def project(tmp_path):
    return Project.fresh(tmp_path / "project")
