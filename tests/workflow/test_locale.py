"""A locale that knows no θ: every file is read and written as UTF-8 all the same."""

import pytest
from workflow.project import Project

# PYTHONUTF8=0, or Python would take UTF-8 in the locale C by itself.
PLAIN = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}


@pytest.fixture
def plain(tmp_path):
    """Runs snakemake there, in a fresh project; what it printed."""
    project = Project.fresh(tmp_path / "project")

    def run(*targets):
        done = project.snakemake(*targets, "--cores", "2", environment=PLAIN)
        assert done.returncode == 0, done.stdout
        return done.stdout

    run.project = project
    return run


def test_a_small_run_in_the_locale_c(plain):
    """Training, a figure, a table, the report of these two; all as in UTF-8.

    Everything that there is: tests/faults/test_surroundings.py.
    """
    plain("figure_1", "table_toy")
    plain("figure_1", "table_toy", "--report", "report.html")
    assert "table_toy" in (plain.project.path / "report.html").read_text(encoding="utf-8")
    results = plain.project.path / "results" / "tiny"
    logs = list((results / "logs").rglob("*.log"))
    assert logs
    for path in logs:
        path.read_text(encoding="utf-8")
