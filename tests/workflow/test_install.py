"""Making the environment: nothing is lost before its successor is whole."""

import os
import shutil
import signal
import subprocess

import pytest
from workflow.project import ROOT

# Stands for python: makes what passes for an environment; its pip does as the test says.
PYTHON = """#!/bin/sh
if [ "$2" = venv ]; then
  mkdir -p "$3/bin" && touch "$3/pyvenv.cfg" "$3/new" && cp "$0" "$3/bin/python"
fi
case "$*" in *"-m pip"*) {pip};; esac
exit 0
"""


@pytest.fixture
def install(tmp_path):
    """Runs the installation with a stand-in for python, whose pip runs these shell commands."""

    def start(venv, pip="true", python=tmp_path / "a python" / "python"):
        python.parent.mkdir(exist_ok=True)
        if python.parent.name == "a python":
            python.write_text(PYTHON.format(pip=pip))
            python.chmod(0o755)
        return subprocess.Popen(
            [ROOT / "envs" / "install.sh", venv],
            env=os.environ | {"PYTHON": str(python)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(*arguments, **options):
        process = start(*arguments, **options)
        _, errors = process.communicate(timeout=60)
        return process.returncode, errors

    run.start = start
    return run


@pytest.fixture
def working(tmp_path):
    """An environment that works."""
    venv = tmp_path / "venv"
    venv.mkdir()
    (venv / "pyvenv.cfg").touch()
    (venv / "old").touch()
    return venv


def test_a_new_environment_replaces_the_old(install, working):
    """With a python whose path has a space in it."""
    assert install(working) == (0, "")
    assert (working / "new").exists()
    assert not (working / "old").exists()
    assert sorted(path.name for path in working.parent.iterdir()) == ["a python", "venv"]


def test_without_a_python_nothing_is_touched(install, working, tmp_path):
    status, errors = install(working, python=tmp_path / "nowhere")
    assert status == 1
    assert "no usable Python found" in errors
    assert (working / "old").exists()


@pytest.mark.parametrize("content", ["directory", "file"])
def test_what_is_no_environment_is_refused(install, tmp_path, content):
    mine = tmp_path / "mine"
    if content == "directory":
        mine.mkdir()
        (mine / "thesis.tex").touch()
    else:
        mine.write_text("a year of work")
    status, errors = install(mine)
    assert status == 1
    assert errors == (
        f"make: {mine} is there and is no virtual environment: move it, or name another directory\n"
    )
    assert (mine / "thesis.tex").exists() or mine.read_text() == "a year of work"


def test_an_empty_directory_is_taken(install, tmp_path):
    (tmp_path / "venv").mkdir()
    assert install(tmp_path / "venv") == (0, "")


def test_a_working_environment_survives_a_failure(install, working):
    """As without a network."""
    status, errors = install(working, pip="echo ERROR: no such package >&2; exit 1")
    assert status == 1
    assert errors == "make: installing the packages failed: ERROR: no such package\n"
    assert (working / "old").exists()
    assert not (working / "new").exists()
    assert sorted(path.name for path in working.parent.iterdir()) == ["a python", "venv"]


# What pip prints of a file whose hash is another.
TAMPERED = """\
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have
    tqdm==4.67.1 from an-index/tqdm-4.67.1.whl (from -r requirements.hashes (line 9)):
        Expected sha256 0000
             Got        1111
"""


def test_another_file_than_the_one_pinned_is_refused(install, working, tmp_path):
    """By the name of its package; the environment from before stays."""
    (tmp_path / "a python").mkdir()
    (tmp_path / "a python" / "said").write_text(TAMPERED)
    status, errors = install(working, pip=f"cat '{tmp_path}/a python/said' >&2; exit 1")
    assert status == 1
    assert errors == (
        "make: the index gave other files than envs/requirements.hashes knows, of: tqdm==4.67.1; "
        "nothing was installed: try another index or mirror\n"
    )
    assert (working / "old").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_working_environment_survives_a_kill(install, working, number):
    """SIGKILL leaves it aside; the next installation finds it there, also if it fails."""
    process = install.start(working, pip="echo reached; sleep 20")
    assert "Installing" in process.stdout.readline()
    while not (working / "new").exists():
        assert process.poll() is None
    os.killpg(process.pid, number)
    process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert not (working / "old").exists()
        assert install(working, pip="exit 1")[0] == 1
    assert (working / "old").exists()
    assert install(working) == (0, "")
    assert (working / "new").exists()
    assert sorted(path.name for path in working.parent.iterdir()) == ["a python", "venv"]


# Stands for one version of python: its pip and its pytest note how they were called.
VERSION = """#!/bin/sh
echo "{version} $*" >> {calls}
case "$*" in
  *"-m venv"*) mkdir -p "$3/bin" && touch "$3/pyvenv.cfg" && cp "$0" "$3/bin/python";;
  *"-m pytest"*) echo "5 passed in 1.23s"; [ {version} != 3.12 ];;
esac
"""


@pytest.mark.parametrize("torch", ["", "no"])
def test_every_python_that_is_found_is_tested(tmp_path, torch):
    """One that is missing, or whose tests fail, does not stop the others; the end says it all."""
    shutil.copytree(ROOT / "envs", tmp_path / "project" / "envs")
    calls, programs = tmp_path / "calls", tmp_path / "programs"
    programs.mkdir()
    for version in ("3.11", "3.12", "3.13"):
        program = programs / f"python{version}"
        program.write_text(VERSION.format(version=version, calls=calls))
        program.chmod(0o755)
    (programs / "python3.14").symlink_to("/bin/false")
    run = subprocess.run(
        [tmp_path / "project" / "envs" / "pythons.sh"],
        env=os.environ | {"PATH": f"{programs}:/usr/bin:/bin", "TORCH": torch},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    made = "the lock resolves; without torch" if torch else "the lock installed"
    assert run.stdout.splitlines()[-4:] == [
        *(f"Python {version}: {made}: 5 passed in 1.23s" for version in ("3.11", "3.12", "3.13")),
        "Python 3.14: not found here",
    ]
    said = calls.read_text().splitlines()
    assert sum("-m pytest" in line for line in said) == 3
    installed = [line for line in said if "--requirement" in line]
    assert sum("--dry-run" in line for line in installed) == (3 if torch else 0)
