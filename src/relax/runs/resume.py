"""Runs that continue after a kill: what they need lies in a folder that vanishes when they end.

Snakemake removes the outputs of a job that did not end well. So a run keeps its state, and the
files that it owes, in a folder of its own beside them, and places the outputs when it is done.
Random streams are addressed by step (`relax.numerics.streams`): a state holds none.

Each identity has a folder of its own in it, so that a start with other settings, by mistake or not,
touches nothing of a run that waits there: it is named, and goes on when its settings come back.
Every file is sealed: a checksum over its content, and the run's identity. One that is truncated or
altered, or is of another run, is named in the log and not used.
"""

import errno
import fcntl
import hashlib
import io
import math
import os
import platform
import shutil
import signal
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from relax.errors import DataError, NonFiniteError
from relax.files import placed_whole
from relax.runs.jobs import EARLIER

DIGEST = hashlib.sha256().digest_size
# What a file system says that has no locks to give (some Lustre and NFS).
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class ForeignError(DataError):
    """A file is whole, and another run's."""


def identity(*settings, files=()):
    """What makes a run the same run: its settings, as they print, and the content of its inputs."""
    digest = hashlib.sha256(repr(settings).encode())
    for path in sorted(map(str, files)):
        digest.update(Path(path).read_bytes())
    return digest.digest()


def write_sealed(path, content, run):
    """Write tensors, numbers, text and containers of them, whole, for the run of this identity."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    body = run + buffer.getvalue()
    with placed_whole(path) as temporary:
        temporary.write_bytes(hashlib.sha256(body).digest() + body)


def read_sealed(path, run=None):
    """What `write_sealed` wrote, without unpickling code; without `run`, of whichever run it is.

    Raises:
        DataError: the file is missing, is not what was written, or belongs to another run.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    digest, body = data[:DIGEST], data[DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise DataError(f"{path} is damaged")
    if run is not None and body[:DIGEST] != run:
        raise ForeignError(f"{path} is of another configuration, data set or version of the code")
    try:
        return torch.load(io.BytesIO(body[DIGEST:]), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for what it does not take
        raise DataError(f"{path} cannot be read: {error}") from None


class Unfinished:
    """The folder of a run that has not ended: a context, whose end without an error removes it.

    One process at a time has it.

    Args:
        folder: where; made if it is not there.
        run: the run's `identity`.
        seconds: time between two saves of the state.
        log: an open text file, or None.

    Raises:
        DataError: another process has the folder.
    """

    def __init__(self, folder, run, seconds=60.0, log=None):
        self.folder, self.run, self.seconds, self.log = Path(folder), run, seconds, log
        self.started = self.saved = time.monotonic()
        # How often the run was begun before; for how long; and in how much processor time.
        self.legs, self.earlier, self.computed = 0, 0.0, 0.0
        self.computing = time.process_time()
        self._lock()

    @classmethod
    def beside(cls, output, settings, inputs, seconds, log):
        """That of the run which writes `output`, with these settings and input files.

        The settings are all that makes the run what it is and stands in no file: those of the
        configuration, what the code says, versions of packages, the device.
        """
        run = identity(settings, files=inputs)
        folder = Path(output).with_name("unfinished")
        own = cls(folder / run.hex()[:16], run, seconds, log)
        if others := _waiting(folder, own.folder):
            own.say(
                f"{folder} also holds what other settings, data, packages or code have begun: "
                f"{'; '.join(others)}. The same command with those goes on from there; remove the "
                f"folder if that run is not wanted.",
                aloud=True,
            )
        return own

    def _lock(self):
        """Take the folder; the system gives it back when the process ends, however it does.

        Written out, as the libraries at hand read every error of the system as "in use".
        """
        path = self.folder / "lock"
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock = open(path, "a+", encoding="utf-8")  # noqa: SIM115
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.lock.seek(0)
                holder = self.lock.read() or "another process"
                self.lock.close()
                raise DataError(
                    f"{self.folder} is in use by {holder}, which trains the same run: wait until "
                    f"it ends, or stop it"
                ) from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise DataError(f"{path} cannot be locked: {error.strerror}") from None
                self.say(
                    f"the file system of {self.folder} has no locks ({error.strerror}): going on "
                    f"without. Do not start the same run there twice at once.",
                    aloud=True,
                )
                break
            if self._is(path):
                break
            self.lock.close()  # whoever had it has removed it since: what we hold has no name
        self.lock.truncate(0)
        self.lock.write(f"process {os.getpid()} on {platform.node()}")
        self.lock.flush()

    def _is(self, path):
        """Whether the file that is open as the lock is still the one of this name."""
        try:
            return os.path.samestat(os.fstat(self.lock.fileno()), os.stat(path))
        except FileNotFoundError:
            return False

    def due(self):
        """Whether it is time to save."""
        return time.monotonic() - self.saved >= self.seconds

    def save(self, step, state):
        """Save the state after `step`; the one before it is kept too, those before that are not."""
        computed = self.computed + time.process_time() - self.computing
        spent = {"legs": self.legs + 1, "seconds": self.seconds_spent(), "processor": computed}
        write_sealed(self.folder / f"state_{step:012}", state | {"spent": spent}, self.run)
        for old in self._states()[2:]:
            old.unlink()
        self.saved = time.monotonic()

    def load(self):
        """The newest state that is good, or None; what is damaged goes, what is of others stays."""
        for path in self._states():
            try:
                state = read_sealed(path, self.run)
                for name in state["kept"]:
                    self.read(name)
            except DataError as error:
                self.say(f"not continued from: {error}", aloud=True)
            else:
                spent = state.pop("spent")
                self.legs, self.earlier = spent["legs"], spent["seconds"]
                self.computed = spent.get("processor", math.nan)  # earlier states do not tell
                self.say(f"continuing after step {state['step']}")
                return state
        for path in self.folder.iterdir():
            if path.name != "lock" and not _of_another(path, self.run):
                path.unlink()
        return None

    def seconds_spent(self):
        """Wall time of this run so far, in seconds, over all times that it was begun."""
        return self.earlier + time.monotonic() - self.started

    def keep(self, name, content):
        """Keep something that the run owes at its end."""
        write_sealed(self.folder / name, content, self.run)

    def read(self, name):
        """What was kept under this name."""
        return read_sealed(self.folder / name, self.run)

    def remove(self):
        """The run has ended: its folder goes, and the one around it if nothing else is there."""
        if self.legs:
            spent = f"{self.earlier:.1f} s, {self.computed:.1f} s of them computing"
            self.say(f"{EARLIER}{spent}, interrupted {self.legs} times")
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()
        self.lock.close()

    def close(self):
        """Let another process have the folder, with what is in it."""
        self.lock.close()

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        # A run whose numbers stopped being finite would come to the same end again.
        ended = error is None or issubclass(error, NonFiniteError)
        self.remove() if ended else self.close()

    def _states(self):
        """Paths of the saved states, the newest first."""
        return sorted(self.folder.glob("state_*"), reverse=True)

    def say(self, message, aloud=False):
        """Write a line to the log; `aloud`: to stderr too, where whoever started the job looks."""
        if self.log:
            self.log.write(message + "\n")
            self.log.flush()
        if aloud:
            print(message, file=sys.stderr)


def waiting_runs(folder):
    """Of a folder of unfinished runs, the newest readable state of each: pairs (its path, content).

    What another process is at may be among them: a state is read whole or not at all.

    Raises:
        DataError: a run has states and none of them is whole.
    """
    found = []
    for path in sorted(p for p in Path(folder).iterdir() if p.is_dir()):
        broken, good = None, None
        for state in sorted(path.glob("state_*"), reverse=True):
            try:
                good = state, read_sealed(state)
                break
            except DataError as error:
                broken = broken or error
        if good:
            found.append(good)
        elif broken:
            raise broken
    return found


def _of_another(path, run):
    try:
        read_sealed(path, run)
    except ForeignError:
        return True
    except DataError:
        pass
    return False


def _waiting(folder, own):
    """What lies in a folder of unfinished runs besides one's own, a line each."""
    found = []
    for path in sorted(p for p in folder.iterdir() if p != own):
        states = sorted(path.glob("state_*")) if path.is_dir() else [path]
        if states and states[-1].name.startswith("state_"):
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(states[-1].stat().st_mtime))
            step = int(states[-1].name.removeprefix("state_"))
            found.append(f"{path.name} (after step {step:,}, saved {when})")
    return found


@contextmanager
def stoppable():
    """Within the block SIGTERM and Ctrl-C only ask: yields a function that says if one has come.

    The block then saves what it has, and raises `relax.errors.Interrupted`.
    """
    came = []
    previous = {
        number: signal.signal(number, lambda received, frame: came.append(received))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
