"""Progress of what takes long, for the log and for a terminal: loops, and downloads."""

import sys
import time
from collections.abc import Callable
from typing import NamedTuple, TextIO

from tqdm import tqdm


class Counted(NamedTuple):
    """What is counted: options of the bar, and (done, total or None, a second) in words."""

    bar: dict
    words: Callable[[int, int | None, float], str]


def _steps(done: int, total: int | None, rate: float) -> str:
    return f"step {done}/{total}, {rate:.0f} steps/s"


def _megabytes(done: int, total: int | None, rate: float) -> str:
    return f"{done / 1e6:.2f} of {'unknown' if total is None else f'{total / 1e6:.2f}'} MB"


STEPS = Counted({"unit": "step"}, _steps)
BYTES = Counted({"unit": "B", "unit_scale": True}, _megabytes)


class Progress:
    """A line in the log every few seconds and at the end, a bar in a terminal; for `with`.

    Args:
        title: of what.
        total: how many there will be; None where nobody knows.
        log: an open text file, or None.
        start: how many are done already.
        counted: `STEPS` or `BYTES`.
        every: seconds between lines.
    """

    def __init__(
        self,
        title: str,
        total: int | None,
        log: TextIO | None = None,
        start: int = 0,
        counted: Counted = STEPS,
        every: float = 5.0,
    ):
        self.title, self.total, self.log, self.every = title, total, log, every
        self.counted, self.started = counted, time.monotonic()
        self.start = self.done = start
        self.last, self.told = self.started, None  # when a line was written, and of how many
        # disable=None: tqdm draws only where stderr is a terminal
        options = {"disable": None, "leave": False} | counted.bar
        self.bar = tqdm(total=total, initial=start, desc=title, **options)

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count steps; `note` is the state worth reading in the log."""
        self.done += steps
        self.bar.update(steps)
        ended = self.total is not None and self.done >= self.total
        if self.log and (ended or time.monotonic() - self.last > self.every):
            self._write(note)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        """The end, which nobody knew before where there is no total."""
        if self.log and self.total is None and self.told != self.done:
            self._write("")
        self.bar.close()
        sys.stderr.flush()

    def _write(self, note):
        self.last, self.told = time.monotonic(), self.done
        rate = (self.done - self.start) / max(self.last - self.started, 1e-9)
        words = self.counted.words(self.done, self.total, rate)
        self.log.write(f"{self.title}: {words}{', ' + note if note else ''}\n")
        self.log.flush()
