"""What `make` shows: one line of progress, the time it will take, and of a failure its message."""

import importlib.util
import io
import os
import pty
import subprocess
import sys

import pytest
from workflow.project import ROOT

SCRIPT = ROOT / "workflow" / "follow.py"
SPEC = importlib.util.spec_from_file_location("follow", SCRIPT)
follow = importlib.util.module_from_spec(SPEC)
sys.modules["follow"] = follow
SPEC.loader.exec_module(follow)

# As Snakemake prints them.
JOB = """\
[Sat Nov 28 13:29:51 2026]
{kind} {rule}:
    output: results/{name}.csv
    log: results/logs/{name}.log
    jobid: {id}
    benchmark: results/benchmarks/{name}.tsv
    wildcards: estimator=relax
"""
ERROR = """\
[Sat Nov 28 13:29:51 2026]
Error in rule {rule}:
    message: None
    jobid: {id}
    log: results/logs/{name}.log (check log file(s) for error details)
"""
# Stands for snakemake: prints the file of its mode, and ends as it says.
STAND_IN = """\
import pathlib, sys
mode = "plan" if "--dry-run" in sys.argv else "run"
print(pathlib.Path(mode + ".txt").read_text(), flush=True)
sys.exit(int(pathlib.Path("status").read_text()) if mode == "run" else 0)
"""


def job(rule, name, number, kind="rule"):
    return JOB.format(rule=rule, name=name, id=number, kind=kind)


PLAN = job("train_toy", "toy/a", 1) + job("train_toy", "toy/b", 2) + job("figure_1", "figures/f", 3)
FINISHED = "Finished jobid: {} (Rule: train_toy)\n"


@pytest.fixture
def make(tmp_path):
    """Follows a stand-in that prints these texts and ends with this status."""
    (tmp_path / "snakemake.py").write_text(STAND_IN)

    def start(run, plan=PLAN, status=0, **options):
        (tmp_path / "plan.txt").write_text(plan)
        (tmp_path / "run.txt").write_text(run)
        (tmp_path / "status").write_text(str(status))
        command = [sys.executable, SCRIPT, sys.executable, "snakemake.py"]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, **options
        )

    return start


def test_a_run_is_one_line_and_its_log(make, tmp_path):
    """Where nothing can be written over, a line every tenth; no job's details."""
    run = make(PLAN + "".join(map(FINISHED.format, (1, 2, 3))))
    assert run.returncode == 0
    assert run.stderr == ""
    lines = run.stdout.splitlines()
    assert lines[0] == "looking for what there is to do; logs/make.log"
    assert lines[-1] == "100%; 3 jobs in 0 s; logs/make.log"
    assert len(lines) < 10
    assert "wildcards" not in run.stdout
    log = (tmp_path / "logs" / "make.log").read_text()
    assert log.count("wildcards: estimator=relax") == 6  # planned, and run


def test_nothing_to_do_is_said(make):
    run = make("", plan="Nothing to be done (all requested files are present and up to date).")
    assert run.returncode == 0
    assert run.stdout.splitlines()[-1] == "100%; everything is there and up to date"


def test_a_failure_is_the_jobs_own_message_last_and_alone(make, tmp_path):
    """What its log says after "error: "; Snakemake's pages are in the log file."""
    (tmp_path / "results/logs/toy").mkdir(parents=True)
    text = "machine: this one\nerror: toy relax: the cost is not finite at step 3\n"
    (tmp_path / "results/logs/toy/b.log").write_text(text)
    error = ERROR.format(rule="train_toy", name="toy/b", id=2)
    ending = "Shutting down, this might take some time.\nWorkflowError:\nAt least one job failed.\n"
    run = make(PLAN + FINISHED.format(1) + error + ending, status=1)
    assert run.returncode == 1
    assert run.stderr == (
        "toy relax: the cost is not finite at step 3\n(train_toy; results/logs/toy/b.log)\n"
    )
    assert "WorkflowError" not in run.stdout


def test_a_failure_that_is_a_bug_is_its_last_line(make, tmp_path):
    (tmp_path / "results/logs/toy").mkdir(parents=True)
    trace = "Traceback (most recent call last):\n  File ...\nValueError: too few\n"
    (tmp_path / "results/logs/toy/b.log").write_text(trace)
    run = make(PLAN + ERROR.format(rule="train_toy", name="toy/b", id=2), status=1)
    assert run.stderr.splitlines() == [
        "ValueError: too few",
        "(train_toy; results/logs/toy/b.log has the traceback)",
    ]


def test_a_failure_of_no_job_is_snakemakes_message(make):
    """As of a configuration: all its lines, and none of the page above them."""
    wrong = "WorkflowError in file x, line 2:\nthe configuration is not valid:\n  toy.stepz: no"
    run = make("SNAKEMAKE\n  Host: vm\n" + wrong, status=1)
    assert run.stderr.rstrip("\n").endswith(wrong)
    assert "Host" not in run.stderr


def read(*texts):
    output = follow.Output()
    for now, text in texts:
        for line in text.splitlines():
            output.read(line, now)
    return output


def test_the_time_it_will_take():
    """By known times of jobs: after the minute that the first of four minutes took, four in all.

    Before the end of the first minute there is no such number; a job that is not known is as others
    of its rule.
    """
    plan = follow.Plan.of(
        list(read((0, PLAN)).announced.values()), {"toy/a": 60.0, "figures/f": 120.0}
    )
    assert list(plan.seconds.values()) == [60.0, 60.0, 120.0]
    output = read((0, job("train_toy", "toy/a", 1)), (60, FINISHED.format(1)))
    assert follow.line_of(plan, output, 60.0, 60.0) == (
        " 25%; 1 of 3 jobs; 1 min of about 4 min; logs/make.log"
    )
    output = read((0, PLAN))
    assert "about" not in follow.line_of(plan, output, 59.0, 59.0)
    # Running jobs count in part, never whole.
    assert 0.4 < plan.done(output, 1000.0) < 1


def test_known_times(tmp_path):
    """Those of the run here stand over the published ones."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "a.tsv").write_text("s\th:m:s\n12.5\t0:00:12\n")
    assert follow.known_seconds(tmp_path)["toy/a"] == 12.5
    assert len(follow.known_seconds(tmp_path)) > 10


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (61, "1 min"), (3599, "1 h 0 min"), (5000, "1 h 23 min")]
)
def test_spans(seconds, text):
    assert follow.span(seconds) == text


def test_in_a_terminal_the_line_is_written_over():
    """One line on the screen, whatever was shown before."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        screen = follow.Screen(stream)
        for line in (" 10%; a", " 11%; b"):
            screen.show(line)
        screen.end()
        shown = ""
        while "\n" not in shown:  # a terminal may hand it over in parts
            shown += os.read(ours, 1000).decode()
    os.close(ours)
    assert shown.count("\n") == 1
    assert shown.split("\033[K")[-1].strip() == "11%; b"
    assert follow.Screen(io.StringIO()).terminal is False
