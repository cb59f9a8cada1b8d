"""Wrong configuration files and the real command: a message, no traceback, nothing started."""

import pytest
import yaml
from workflow.mistakes import GONE, applied
from workflow.project import Project
from workflow.test_config_fuzz import BASE, MISTAKES

# Of each kind of mistake the first of every section, where a YAML file can make it; a file of
# overrides takes no key away.
CHOSEN = {
    (change.how, change.path[0]): change
    for change in reversed(MISTAKES)
    if change.value is not GONE and not isinstance(change.value, set)
}
ONE_OF_EACH = {how: change for (how, _), change in CHOSEN.items()}
NO_BLOCK_OF_KEYS = {
    "empty": "",
    "null": "null\n",
    "a list": "- preset\n",
    "text": "preset\n",
    "a number": "5\n",
    "cut short": "toy: {steps: 5\n",
    "a tab": "toy:\n\tsteps: 5\n",
    "code": "preset: !!python/object/apply:os.mkdir [results]\n",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.fresh(tmp_path_factory.mktemp("config files") / "project")


def refused(project, config):
    """What `snakemake -n` says of a file, having done nothing."""
    run = project.snakemake("--dry-run", config=config)
    assert run.returncode != 0, run.stdout
    assert "Traceback (most recent call last)" not in run.stdout
    assert "Job stats" not in run.stdout
    assert not (project.path / "results").exists()
    assert not (project.path / "figures").exists()
    return run.stdout


def test_enough_kinds_of_mistakes():
    """A few dozen."""
    assert len(ONE_OF_EACH) >= 25


@pytest.mark.parametrize("how", sorted(ONE_OF_EACH))
def test_a_mistake_in_a_file(project, tmp_path, how):
    """The key is named."""
    change = ONE_OF_EACH[how]
    config = tmp_path / "wrong.yaml"
    config.write_text(yaml.safe_dump(applied(BASE, change)), encoding="utf-8")
    output = refused(project, config)
    assert f"  {change.key}: " in output or f"  {change.key}[" in output


@pytest.mark.parametrize("what", NO_BLOCK_OF_KEYS)
def test_a_file_that_is_no_block_of_keys(project, tmp_path, what):
    """The configuration is what is wrong."""
    config = tmp_path / "wrong.yaml"
    config.write_text(NO_BLOCK_OF_KEYS[what], encoding="utf-8")
    assert "Config file" in refused(project, config)


def test_the_same_without_a_mistake(project, tmp_path):
    """The control: all the rest of that file is right, and the command plans its jobs."""
    config = tmp_path / "right.yaml"
    without_packed = BASE | {"archive": {"runs": [], "tried": []}}  # whose folders are not there
    config.write_text(yaml.safe_dump(without_packed), encoding="utf-8")
    assert project.planned_jobs(config=config)
