"""The JAX peer as a contestant: a process of its own, in the environment that one names.

    JAX_PYTHON=/path/to/an/environment/bin/python make bench

Without the variable the peer is left out, with a word. It waits for its turn without computing.
"""

import os
import subprocess
from pathlib import Path

VARIABLE = "JAX_PYTHON"
ESTIMATORS = ("reinforce", "rebar", "relax")  # that the peer knows, on linear1
FAILED = "the JAX peer failed: see its message above"
LEFT_OUT = f"the JAX peer is left out: {VARIABLE} names no Python that has JAX"


def python():
    """The interpreter that `JAX_PYTHON` names, if it has JAX; else None, with a word."""
    named = os.environ.get(VARIABLE)
    try:
        if (
            named
            and not subprocess.run([named, "-c", "import jax"], capture_output=True).returncode
        ):
            return named
    except OSError:
        pass
    print(LEFT_OUT, flush=True)
    return None


class JaxPeer:
    """Steps of `jax_peer.py`: `peer(steps)` takes so many.

    Attributes:
        version, device: JAX's, and the name of what it computes on.
        seconds: of the last call, as the peer's own process saw them.
    """

    def __init__(self, interpreter, estimator, replicas=1):
        command = [interpreter, Path(__file__).with_name("jax_peer.py"), estimator, str(replicas)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(list(map(str, command)), stdin=pipe, stdout=pipe, text=True)
        _, self.version, self.device = self._line().split(maxsplit=2)

    def __call__(self, steps):
        print(steps, file=self.process.stdin, flush=True)
        self.seconds = float(self._line())

    def close(self):
        """End its process.

        Raises:
            RuntimeError: it failed, or what it learned is not finite.
        """
        self.process.communicate()
        if self.process.returncode:
            raise RuntimeError(FAILED)

    def _line(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.communicate()
            raise RuntimeError(FAILED)
        return line.strip()
