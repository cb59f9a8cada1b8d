"""Runs that continue after a kill: what they need lies in a folder that vanishes when they end.

Snakemake removes the outputs of a job that did not end well. So a run keeps its state, and the
files that it owes, in a folder of its own beside them, and places the outputs when it is done.
Random streams are addressed by step (`relax.numerics.streams`): a state holds none.

Every file is sealed: a checksum over its content, and the run's identity. One that is truncated or
altered, or is of another configuration or version of the code, is named in the log and not used.
"""

import fcntl
import hashlib
import io
import os
import platform
import shutil
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import torch

from relax.errors import DataError, NonFiniteError
from relax.files import placed_whole

DIGEST = hashlib.sha256().digest_size


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


def read_sealed(path, run):
    """What `write_sealed` wrote, without unpickling code.

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
    if body[:DIGEST] != run:
        raise DataError(f"{path} is of another configuration, data set or version of the code")
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
        self.saved = time.monotonic()
        self._lock()

    @classmethod
    def beside(cls, output, settings, inputs, seconds, log):
        """That of the run which writes `output`, with these settings and input files."""
        folder = Path(output).with_name("unfinished")
        return cls(folder, identity(settings, files=inputs), seconds, log)

    def _lock(self):
        """Take the folder; the system gives it back when the process ends, however it does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.folder / "lock", "a+", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.lock.seek(0)
            holder = self.lock.read() or "another process"
            self.lock.close()
            raise DataError(
                f"{self.folder} is in use by {holder}, which trains the same run: wait until it "
                f"ends, or stop it"
            ) from None
        self.lock.truncate(0)
        self.lock.write(f"process {os.getpid()} on {platform.node()}")
        self.lock.flush()

    def due(self):
        """Whether it is time to save."""
        return time.monotonic() - self.saved >= self.seconds

    def save(self, step, state):
        """Save the state after `step`; the one before it is kept too, those before that are not."""
        write_sealed(self.folder / f"state_{step:012}", state, self.run)
        for old in self._states()[2:]:
            old.unlink()
        self.saved = time.monotonic()

    def load(self):
        """The newest state that is good, or None: then what lies here is of no use, and goes."""
        for path in self._states():
            try:
                state = read_sealed(path, self.run)
                for name in state["kept"]:
                    self.read(name)
            except DataError as error:
                self._say(f"not continued from: {error}")
                path.unlink()
            else:
                self._say(f"continuing after step {state['step']}")
                return state
        for path in self.folder.iterdir():
            if path.name != "lock":
                path.unlink()
        return None

    def keep(self, name, content):
        """Keep something that the run owes at its end."""
        write_sealed(self.folder / name, content, self.run)

    def read(self, name):
        """What was kept under this name."""
        return read_sealed(self.folder / name, self.run)

    def remove(self):
        """The run has ended."""
        shutil.rmtree(self.folder, ignore_errors=True)
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

    def _say(self, message):
        if self.log:
            self.log.write(message + "\n")
            self.log.flush()


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
