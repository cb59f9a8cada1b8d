"""What `make` shows of a run of Snakemake: one line of progress, and of a failure its own message.

    python workflow/follow.py [--saying TEXT] COMMAND...

Everything that the command prints goes to logs/make.log, which the line names. Before it runs, a
dry run of it says which jobs there will be. How far a run is goes by the time that its jobs are
known to take: by their benchmarks of an earlier run here, or else by those of the published run.
"""

from __future__ import annotations

import argparse
import csv
import queue
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "docs" / "tables" / "default" / "provenance.csv"
LOG = Path("logs/make.log")
KNOWN_AFTER = 60.0  # seconds of a run after which its whole time is shown
STEP = 10  # per cent between two lines where they do not go to a terminal


@dataclass
class Job:
    """A job as Snakemake announces it."""

    rule: str
    id: str = ""
    benchmark: str = ""
    log: str = ""
    started: float = 0.0

    @property
    def name(self) -> str:
        """The path of what it makes, without folders of the run, as provenance names it."""
        return self.benchmark.partition("benchmarks/")[2].removesuffix(".tsv")


@dataclass
class Output:
    """What a run has said so far: the jobs that it announced, finished and lost."""

    announced: dict[str, Job] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    failed: list[Job] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    _job: Job | None = None

    def read(self, line: str, now: float = 0.0) -> None:
        """Take in one line."""
        self.last = [*self.last[-200:], line]
        if found := re.fullmatch(r"(?:local)?(?:rule|checkpoint) (\w+):", line):
            self._job = Job(found[1], started=now)
        elif found := re.fullmatch(r"Error in (?:rule|checkpoint) (\w+):", line):
            self._job = Job(found[1])
            self.failed.append(self._job)
        elif found := re.match(r"Finished jobid: (\d+)", line):
            self.finished.add(found[1])
        elif self._job and (found := re.match(r"    (jobid|log|benchmark): (\S.*)", line)):
            value = re.sub(r" \(check log file.*", "", found[2])
            setattr(self._job, {"jobid": "id"}.get(found[1], found[1]), value)
            if found[1] == "jobid" and self._job not in self.failed:
                self.announced[value] = self._job


@dataclass
class Plan:
    """The jobs of a run, each with the seconds that it is taken to need."""

    seconds: dict[str, float]
    jobs: int

    @classmethod
    def of(cls, jobs: list[Job], known: dict[str, float]) -> Plan:
        """By what is known of each job, or of the others of its rule, or of all."""
        by_rule: dict[str, list[float]] = {}
        for job in jobs:
            if job.name in known:
                by_rule.setdefault(job.rule, []).append(known[job.name])
        typical = statistics.median([s for found in by_rule.values() for s in found] or [1.0])
        guess = {rule: statistics.median(found) for rule, found in by_rule.items()}
        return cls(
            {
                job.benchmark: known.get(job.name, guess.get(job.rule, typical))
                for job in jobs
                if job.benchmark
            },
            len(jobs),
        )

    def done(self, output: Output, now: float) -> float:
        """The share of the run's time that has passed, from 0 to 1; running jobs count in part."""
        finished = running = spent = 0.0
        for job in output.announced.values():
            if job.id in output.finished:
                finished += self.seconds.get(job.benchmark, 0.0)
                spent += now - job.started
        for job in output.announced.values():
            if job.id not in output.finished:
                running += min(0.9 * self.seconds.get(job.benchmark, 0.0), now - job.started)
        return min((finished + running) / max(sum(self.seconds.values()), 1e-9), 1.0)


def known_seconds(benchmarks: Path = Path("results/benchmarks")) -> dict[str, float]:
    """Wall seconds of jobs by name: of the published run, and over them those of the run here."""
    known = {}
    if PUBLISHED.is_file():
        with open(PUBLISHED, encoding="utf-8", newline="") as table:
            for row in csv.DictReader(table):
                if row["topic"] == "seconds" and row["item"] != "all jobs":
                    known[row["item"]] = float(row["value"])
    for path in benchmarks.rglob("*.tsv"):
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > 1:
            name = path.relative_to(benchmarks).with_suffix("").as_posix()
            known[name] = float(lines[-1].split("\t")[0])
    return known


def span(seconds: float) -> str:
    """A time as people say it: "40 s", "7 min", "1 h 20 min"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def line_of(plan: Plan, output: Output, elapsed: float, now: float) -> str:
    """The one line: how far, how many jobs, how long in all, what runs now."""
    share = plan.done(output, now)
    running = [job.rule for i, job in output.announced.items() if i not in output.finished]
    parts = [f"{100 * share:3.0f}%", f"{len(output.finished)} of {plan.jobs} jobs", span(elapsed)]
    if elapsed >= KNOWN_AFTER and share > 0:
        parts[-1] += f" of about {span(elapsed / share)}"
    if running:
        parts.append(", ".join(sorted(set(running))[:3]))
    return "; ".join([*parts, str(LOG)])


class Screen:
    """A line that is written over in a terminal; elsewhere one every `STEP` per cent.

    There one is shown too when the time that the run will take is first known.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.terminal = stream, stream.isatty()
        self.shown: tuple[int, bool] = (-1, False)

    def show(self, line: str) -> None:
        """Show the line now, or, where nothing can be written over, if much has changed."""
        if self.terminal:
            self.stream.write(f"\r\033[K{line[: shown_columns()]}")
        else:
            percent = re.match(r" *(\d+)%", line)
            if percent:
                now = (int(percent[1]) // STEP, " of about " in line or self.shown[1])
                if now <= self.shown:
                    return
                self.shown = now
            self.stream.write(line + "\n")
        self.stream.flush()

    def end(self) -> None:
        """Leave the line as it stands."""
        if self.terminal:
            self.stream.write("\n")
            self.stream.flush()


def shown_columns() -> int:
    """How wide the line may be."""
    return shutil.get_terminal_size().columns - 1


def lines_of(process: subprocess.Popen[str], log: TextIO) -> Iterator[str | None]:
    """Lines of a process as they come, each written to the log; None in every second without."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=1.0)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        log.write(line)
        log.flush()
        yield line.rstrip("\n")


def message_of(output: Output) -> str:
    """Why a run failed: the first failing job's own words, or else Snakemake's."""
    for job in output.failed:
        path = Path(job.log)
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        lines = [line for line in text.splitlines() if line.strip()]
        told = [n for n, line in enumerate(lines) if line.startswith("error: ")]
        if told:
            return "\n".join(lines[told[-1] :]).removeprefix("error: ") + f"\n({job.rule}; {path})"
        if lines:
            return f"{lines[-1]}\n({job.rule}; {path} has the traceback)"
        return f"{job.rule} failed, and left no log; see {LOG}"
    starts = [
        n for n, line in enumerate(output.last) if re.match(r"\w+(Error|Exception)\b", line.strip())
    ]
    return "\n".join(output.last[starts[0] :] if starts else output.last[-5:])


def start(command: list[str]) -> subprocess.Popen[str]:
    """The command, with what it prints in one stream."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def run(command: list[str], screen: Screen, log: TextIO, saying: str | None) -> int:
    """Run the command to its end; its exit status."""
    plan = Plan({}, 0)
    output = Output()
    if saying:
        screen.show(f"{saying}; {LOG}")
    else:
        screen.show(f"looking for what there is to do; {LOG}")
        with start([*command, "--dry-run"]) as process:
            for line in lines_of(process, log):
                output.read(line or "")
        if process.returncode != 0:
            return failed(process.returncode, output, screen)
        plan = Plan.of(list(output.announced.values()), known_seconds())
        if not plan.jobs:
            screen.show("100%; everything is there and up to date")
            screen.end()
            return 0
    output, begun = Output(), time.monotonic()
    with start(command) as process:
        try:
            for line in lines_of(process, log):
                now = time.monotonic()
                output.read(line or "", now)
                if not saying:
                    screen.show(line_of(plan, output, now - begun, now))
        except KeyboardInterrupt:
            process.wait()  # it was interrupted too, and stops its jobs
            screen.end()
            return 130
    if process.returncode != 0:
        return failed(process.returncode, output, screen)
    if not saying:
        screen.shown = (-1, False)  # whatever was shown
        screen.show(f"100%; {plan.jobs} jobs in {span(time.monotonic() - begun)}; {LOG}")
    screen.end()
    return 0


def failed(status: int, output: Output, screen: Screen) -> int:
    """Say why, and nothing after it."""
    screen.end()
    print(message_of(output), file=sys.stderr)
    return status


def main() -> int:
    """Follow the command of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saying", help="what to show instead of progress")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    LOG.parent.mkdir(exist_ok=True)
    with open(LOG, "a" if given.saying else "w", encoding="utf-8") as log:
        return run(given.command, Screen(sys.stdout), log, given.saying)


if __name__ == "__main__":
    sys.exit(main())
