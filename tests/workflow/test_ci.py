"""What continuous integration does: the locked environment alone, every test, closing lines."""

import os
import subprocess

import pytest
from workflow.project import ROOT

# Stands for python: notes how it is called; "making" an environment puts it there.
PYTHON = """#!/bin/sh
echo "$*" >> {calls}
[ "$2" = venv ] && mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
exit 0
"""
# Stands for make: `failing` is the target that does not succeed.
MAKE = """#!/bin/sh
echo "$1" >> {calls}
echo "3 passed, 1 skipped in 4.56s (0:00:04)"
if [ "$1" = "{failing}" ]; then echo "make: *** [Makefile:1: $1] Error 1"; exit 2; fi
"""


def called(folder, name, text, command):
    """The calls of a stand-in for a program, made while a command ran; and the command."""
    calls, program = folder / "calls", folder / name
    program.write_text(text.format(calls=calls, **{"failing": ""} | command.pop("words", {})))
    program.chmod(0o755)
    run = subprocess.run(**command, capture_output=True, text=True, check=False)
    return calls.read_text().splitlines(), run


def test_the_environment_is_the_lock_and_nothing_else(tmp_path):
    """An empty environment; pip with the lock's hashes, with the lock; the project by itself."""
    venv = tmp_path / "venv"
    command = {
        "args": [ROOT / "envs" / "install.sh", venv],
        "env": os.environ | {"PYTHON": str(tmp_path / "python")},
    }
    calls, run = called(tmp_path, "python", PYTHON, command)
    assert run.returncode == 0, run.stderr
    assert f"-m venv {venv}" in calls
    installs = [call.split(" install ")[1] for call in calls if "pip install" in call]
    hashes, lock, project = installs
    assert hashes.endswith(
        f"--no-deps --require-hashes --requirement {ROOT}/envs/requirements.hashes"
    )
    assert lock.endswith(f"--requirement {ROOT}/envs/requirements.lock")
    assert "--no-deps" in project
    assert project.endswith(f"--editable {ROOT}/envs/..")


@pytest.mark.parametrize("reached", [True, False])
def test_the_build_without_cuda_is_one_word(tmp_path, reached):
    """CPU=1: torch alone, as pinned, from an index that is asked once; where it cannot be reached,
    the usual build, and a line that says so."""
    refuse = 'case "$*" in *--index-url*) exit 1;; esac\n'
    text = PYTHON if reached else PYTHON.replace("exit 0\n", refuse + "exit 0\n")
    command = {
        "args": [ROOT / "envs" / "install.sh", tmp_path / "venv"],
        "env": os.environ
        | {"PYTHON": str(tmp_path / "python"), "CPU": "1", "CPU_INDEX": "http://127.0.0.1:9"},
    }
    calls, run = called(tmp_path, "python", text, command)
    assert run.returncode == 0, run.stderr
    torch, hashes, lock, _ = [call.split(" install ")[1] for call in calls if "pip install" in call]
    assert "--no-deps --index-url http://127.0.0.1:9 torch==" in torch
    assert "--require-hashes" in hashes
    assert lock.endswith(f"--requirement {ROOT}/envs/requirements.lock")
    assert "index" not in hashes + lock
    assert ("could not be had" in run.stderr) == (not reached)


@pytest.mark.parametrize("failing", ["", "lint", "docs", "test", "test-cluster", "test-faults"])
def test_ci_runs_everything_and_says_how_it_ended(tmp_path, failing):
    """All five; a part that fails is not the last, but the whole has failed; nothing unlinted."""
    command = {
        "args": [ROOT / ".ci" / "run"],
        "env": os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        "words": {"failing": failing},
    }
    calls, run = called(tmp_path, "make", MAKE, command)
    tests = ["test", "test-cluster", "test-faults"]
    assert calls == ["lint", *([] if failing == "lint" else ["docs", *tests])]
    assert (run.returncode == 0) == (failing == "")
    if failing != "lint":
        closing = [f"make {part}: 3 passed, 1 skipped in 4.56s (0:00:04)" for part in tests]
        site = "make docs: " + ("failed" if failing == "docs" else "built")
        assert run.stdout.splitlines()[-4:] == [site, *closing]
