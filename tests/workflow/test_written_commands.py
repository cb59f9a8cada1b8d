"""Commands that the pages tell users to type are ones that Snakemake takes."""

import re
import shlex
import shutil

import pandas as pd
import pytest
from workflow.project import ROOT, Project

# What stands elsewhere: commands on a cluster (tests/cluster), reports (test_pipeline.py), and what
# needs a file of the reader's own (test_archive.py, test_structure.py, test_extending_page.py).
ELSEWHERE = ("--workflow-profile", "--report", "compare.yaml", "cells.yaml", "try.yaml")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config" / "README.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
FILE = re.compile(r"^```yaml\n# (\w+\.yaml)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^    (snakemake .*)$", re.MULTILINE)
NOTED = re.compile(r"`(\w+\.yaml)` is `(.*?)`", re.DOTALL)


def written(text):
    """Arguments of each command of a page, without its comment."""
    commands = (shlex.split(line, comments=True)[1:] for line in COMMAND.findall(text))
    return {tuple(each) for each in commands if not set(each) & set(ELSEWHERE)}


def published(path):
    """Arguments of the command of a published run, and the files that its note gives."""
    facts = pd.read_csv(path, dtype=str).set_index(["topic", "item"]).value
    command = facts["run", "command"]
    note = facts.get(("run", "note"), "")
    return shlex.split(command)[1:] if command.startswith("snakemake") else None, note


@pytest.fixture
def project(tmp_path):
    fresh = Project.fresh(tmp_path / "project")
    shutil.copytree(ROOT / "config", fresh.path / "config")
    return fresh


def accepted(project, command):
    run = project.snakemake("--dry-run", *command, config=None)
    assert run.returncode == 0, f"{shlex.join(command)}\n{run.stdout}"


def test_commands_of_the_pages(project):
    """With the files whose content stands beside them."""
    commands = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name, content in FILE.findall(text):
            (project.path / name).write_text(content, encoding="utf-8")
        here = written(text)
        for command in here - commands:
            accepted(project, command)
        commands |= here
    assert len(commands) > 20


def test_commands_of_the_published_runs(project):
    """Their settings are valid still, with the files that the note beside them gives."""
    count = 0
    for path in sorted((ROOT / "docs" / "tables").glob("*/provenance.csv")):
        command, note = published(path)
        if command is None or "PRESET" in " ".join(command):
            continue
        for name, content in NOTED.findall(note):
            (project.path / name).write_text(content, encoding="utf-8")
        accepted(project, command)
        count += 1
    assert count > 8


def test_a_number_in_a_block_on_the_command_line_is_refused(project):
    """The control: Snakemake reads it as text, so no page may tell users to write one."""
    run = project.snakemake("--dry-run", "--config", "toy={seeds: 10}", config=None)
    assert run.returncode == 1
    assert "numbers in blocks given with --config are text" in run.stdout
