"""Snakemake imported once and forked for every start: most of a dry run is preparation.

`Starter` is its user; the program itself is this file. Each start is a process with a folder,
arguments, environment and output of its own, as `python -m snakemake` is; but what Python reads of
the environment when it begins, as PYTHONPATH, is the program's. Jobs are forked as well
(`job_starter.py`).
"""

import atexit
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIMEOUT = 1800  # a guard, for machines with much else to do


def run_snakemake(arguments, folder, environment):
    """`python -m snakemake`; the completed process, with stderr joined to stdout."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )


class Starter:
    """The program, begun at the first start; it ends with this process.

    Args:
        project: a folder with the project's sources, which nobody edits: they are read once for
            all starts. None: the program knows Snakemake alone, and starts it anywhere.
        environment: variables to change, of the program and of all starts.
    """

    def __init__(self, project=None, environment=()):
        self._command = [sys.executable, __file__, *([str(project)] if project else [])]
        self._environment = dict(environment)
        self._program = None

    def run(self, arguments, folder, environment):
        """As `run_snakemake`."""
        environment = environment | self._environment
        if self._program is None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self._program = subprocess.Popen(self._command, env=environment, **pipes)
            atexit.register(self._end)
        with tempfile.NamedTemporaryFile() as output:
            start = [arguments, str(folder), environment, output.name]
            self._program.stdin.write(json.dumps(start).encode() + b"\n")
            self._program.stdin.flush()
            status = json.loads(self._program.stdout.readline())
            text = Path(output.name).read_text(encoding="utf-8")
        if status is None:
            raise subprocess.TimeoutExpired(arguments, TIMEOUT, text)
        return subprocess.CompletedProcess(arguments, status, text)

    def _end(self):
        self._program.communicate()


def read_once(project):
    """Read every module of a project, as the Snakefile does of those that its rules name."""
    sys.path.insert(0, str(project / "src"))
    from relax.runs import config, sources  # noqa: F401 (imported for the starts)

    package = project / "src" / "relax"
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).with_suffix("").parts
        sources.code_of(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    sys.path.remove(str(project / "src"))


def serve():
    """Fork for each line that is read, and answer its exit status; in the fork: what to start."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            return json.loads(line)
        deadline = time.monotonic() + TIMEOUT
        while not (done := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
            time.sleep(0.01)
        if not done[0]:
            os.kill(child, 9)
            os.waitpid(child, 0)
        status = os.waitstatus_to_exitcode(done[1]) if done[0] else None
        print(json.dumps(status), flush=True)
    return None


def enter(python, arguments, folder, environment, output):
    """Make this process what `python -m snakemake` would be at its beginning."""
    os.chdir(folder)
    for number, path, how in ((0, os.devnull, "rb"), (1, output, "wb")):
        with open(path, how) as file:
            os.dup2(file.fileno(), number)
    os.dup2(1, 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    sys.executable = python
    sys.argv = [str(Path(snakemake.__file__).with_name("__main__.py")), *arguments]


if __name__ == "__main__":
    import job_starter
    import snakemake
    from snakemake.cli import get_argument_parser, main

    get_argument_parser()  # loads the plug-ins
    own = tempfile.mkdtemp()
    python, end = job_starter.offer(own)
    if sys.argv[1:]:
        read_once(Path(sys.argv[1]))
    gc.freeze()
    if start := serve():
        enter(python, *start)
        main()
    else:
        end()
        shutil.rmtree(own)
