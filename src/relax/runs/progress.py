"""Progress of a long loop, for the log and for a terminal."""

import sys
import time
from contextlib import contextmanager

from tqdm import tqdm


class Progress:
    """Progress of a long loop: a line in the log every few seconds, a bar in a terminal."""

    def __init__(self, title, total, log=None, start=0, every=5.0):
        self.title, self.total, self.log, self.every = title, total, log, every
        self.started = self.last = time.monotonic()
        self.start = self.done = start
        # disable=None: tqdm draws only where stderr is a terminal
        options = {"unit": "step", "disable": None, "leave": False}
        self.bar = tqdm(total=total, initial=start, desc=title, **options)

    def advance(self, steps=1, note=""):
        """Count steps; `note` is the state worth reading in the log."""
        self.done += steps
        self.bar.update(steps)
        now = time.monotonic()
        if self.log and (now - self.last > self.every or self.done >= self.total):
            self.last = now
            rate = (self.done - self.start) / max(now - self.started, 1e-9)
            self.log.write(
                f"{self.title}: step {self.done}/{self.total}, {rate:.0f} steps/s"
                f"{', ' + note if note else ''}\n"
            )
            self.log.flush()

    def close(self):
        self.bar.close()


@contextmanager
def progress(title, total, log=None, start=0):
    """A `Progress`, closed at the end; `log` is an open text file or None."""
    bar = Progress(title, total, log, start)
    try:
        yield bar
    finally:
        bar.close()
        sys.stderr.flush()
