"""The Python of jobs, begun once and forked for every script: most of a short job is importing.

It has imported the packages that jobs import, and no module of the project. Each script is a
process with a folder, arguments, environment and files of its own, as `python script.py` is; but
what Python reads of the environment when it begins, as the locale, is the starter's.
"""

import contextlib
import gc
import importlib
import marshal
import os
import select
import signal
import socket
import sys
from pathlib import Path

PACKAGES = ("torch", "pandas", "scipy.special", "sklearn.datasets", "gymnasium", "tabulate")
PACKAGES += tuple(f"matplotlib.{name}" for name in ("figure", "ticker", "backends.backend_pdf"))
PACKAGES += ("matplotlib.backends.backend_svg", "matplotlib.backends.backend_agg")
PACKAGES += ("seaborn", "tqdm")


def offer(folder):
    """Fork the process that starts jobs.

    Args:
        folder: an empty one, for a program.

    Returns:
        The path of what Snakemake is to take for Python; and what ends the process, to be called
        when none is left of those that were forked from this one.
    """
    address = f"{folder}/jobs"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0" + address)
    listener.listen()
    ended, kept_open = os.pipe()
    starter = os.fork()
    if starter == 0:
        os.close(kept_open)
        for number in (0, 1):  # the pipes of who starts it
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        _enter(*_serve(listener, ended))
        _run(sys.argv[0])
    listener.close()
    os.close(ended)
    command = Path(folder, "python")
    client = Path(__file__).with_name("job_client.py")
    words = f'"{sys.executable}" -IS "{client}" "{sys.executable}" "{address}"'
    command.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    command.chmod(0o755)

    def end():
        os.close(kept_open)
        os.waitpid(starter, 0)

    return str(command), end


def _serve(listener, ended):
    """Import the packages at the first call, and fork for each; in the fork: what to start."""
    ready = select.select([listener, ended], [], [])[0]
    if listener in ready:
        for name in PACKAGES:
            importlib.import_module(name)
        gc.freeze()
    asked = set()
    while listener in ready:
        connection, _ = listener.accept()
        if (child := os.fork()) == 0:
            return _answer(connection)
        asked.add(child)
        connection.close()
        asked -= {child for child in asked if os.waitpid(child, os.WNOHANG)[0]}
        ready = select.select([listener, ended], [], [])[0]
    for child in asked:
        os.waitpid(child, 0)
    os._exit(0)


def _answer(connection):
    """Fork the job and answer its exit status, or end it with who asked; in the fork: the job."""
    size, files, _, _ = socket.recv_fds(connection, 4, 3)
    start = connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
    job = os.fork()
    if job == 0:
        connection.close()
        return (*marshal.loads(start), files)
    for file in files:
        os.close(file)
    done = os.pidfd_open(job)
    if done not in select.select([done, connection], [], [])[0]:
        os.kill(job, signal.SIGTERM)
    status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        connection.send(bytes([status if status >= 0 else 128 - status]))
    os._exit(0)


def _enter(arguments, folder, environment, files):
    """Make this process what `python script.py` would be at its beginning."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environb.clear()
    os.environb.update(environment)
    sys.argv = arguments
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [str(Path(arguments[0]).parent), *filter(None, paths)]
    importlib.invalidate_caches()


def _run(path):
    """Run a script as the program of this process, to the end of the process."""
    import runpy

    runpy.run_path(path, run_name="__main__")
    sys.exit()
