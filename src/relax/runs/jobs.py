"""What every workflow script does around its one function: log, threads, and errors in one line."""

import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

from relax.errors import Interrupted, RelaxError
from relax.runs.machine import machine
from relax.runs.memory import keep_freed_memory

MACHINE = "machine: "  # how a log's first line starts
EARLIER = "before the last start: "  # of a run that went on, the wall time of what went before
SPENT = "processor time: "  # and the one before its last, which is of the block alone, in seconds


def say(message, log=None):
    """Write a line to the log, if there is one, and to stderr, where who started the job looks."""
    if log:
        log.write(message + "\n")
        log.flush()
    print(message, file=sys.stderr)


@contextmanager
def job(log_path, threads=1):
    """Run the block as a job: yields the open log file, a path that the user can read.

    A mistake or event that the user can act on ends the process with status 1 and one message, on
    stderr and in the log. Any other exception is a bug: its traceback goes to both.
    """
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        torch.set_num_threads(threads)  # one thread a job: cores are filled with jobs
        torch.set_flush_denormal(True)  # arithmetic on denormal numbers is many times slower
        keep_freed_memory()
    Path(log_path).parent.mkdir(parents=True, exist_ok=True)
    with open(log_path, "w", encoding="utf-8") as log:
        log.write(f"{MACHINE}{machine()}\n")
        started = time.process_time()
        try:
            yield log
            log.write(f"{SPENT}{time.process_time() - started:.2f} s\ndone\n")
        except Interrupted as stop:
            log.write(f"{stop}\n")
            print(stop, file=sys.stderr)
            sys.exit(130)
        except RelaxError as error:
            log.write(f"error: {error}\n")
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            log.write("interrupted\n")
            sys.exit(130)
        except Exception:
            log.write(traceback.format_exc())
            raise
