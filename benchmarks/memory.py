"""The memory of a training: `python benchmarks/memory.py MODEL ESTIMATOR` prints two numbers, MiB.

A process of its own trains a tiny model first, which loads the code that a training runs, and then
the real one. The first number is by how much that raised the peak of the process: parameters,
gradients, Adam's moments, noise and intermediate values. The second is the peak itself, in which
the interpreter, torch and the package's other imports are the greatest part.
"""

import re
import resource
import subprocess
import sys
from pathlib import Path

STEPS = 20


def held(what):
    """Memory of this process, MiB: the most so far ("VmHWM"), or now ("VmRSS")."""
    try:
        # Linux's ru_maxrss begins at what the parent held when it started this process; these two
        # are of the process's own memory alone.
        status = Path("/proc/self/status").read_text()
        return int(re.search(rf"^{what}:\s*(\d+) kB", status, re.MULTILINE)[1]) / 2**10
    except (OSError, TypeError):  # no Linux: the most so far stands for both
        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes on macOS, kibibytes elsewhere
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure(model, estimator):
    """The two numbers, of this process."""
    from cases import BATCH, package_training, synthetic_images, use_one_thread

    use_one_thread()
    images = synthetic_images(count=10 * BATCH)
    tiny = {"latents": 4, "surrogate": {"hidden": (4, 4)}}
    package_training(model, estimator, images, **tiny)(STEPS)
    before = held("VmRSS")
    training = package_training(model, estimator, images)
    training.restart(block=100)  # as the package's own loop draws noise
    training(STEPS)
    return held("VmHWM") - before, held("VmHWM")


def memory(model, estimator):
    """(increase, peak) in MiB, measured in a new process."""
    command = [sys.executable, __file__, model, estimator]
    words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    increase, whole = map(float, words)
    return increase, whole


if __name__ == "__main__":
    print(*measure(*sys.argv[1:]))
