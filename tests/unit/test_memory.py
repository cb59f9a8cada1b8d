"""A job keeps the memory that it frees: tensors of a size that comes again cost no fresh pages."""

import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
{first}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(5_000_000)
before = faults()
for _ in range(4):
    np.ones(5_000_000)
print(faults() - before)
"""
KEPT = "from relax.runs.memory import keep_freed_memory; assert keep_freed_memory()"


def faults(first):
    found = subprocess.run(
        [sys.executable, "-c", FAULTS.format(first=first)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(found.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_arrays_that_come_again_fault_no_pages():
    """Four arrays of 40 MB in turn; the control, without the setting, faults at every one."""
    assert faults(KEPT) < 100
    assert faults("") > 4 * 40e6 / 2**21 / 2  # even where a page is a huge one


GAPS = """
import mmap
from relax.runs.memory import give_back_freed_memory, keep_freed_memory
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * mmap.PAGESIZE
keep_freed_memory()
blocks = [bytearray(200_000) for _ in range(1_000)]
stays, blocks = blocks[::10], None
held = resident()
assert give_back_freed_memory()
print(held - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_gaps_between_what_stays_are_given_back():
    """Of 200 MB nine tenths are free but held (the control), each gap too small for more."""
    given = subprocess.run([sys.executable, "-c", GAPS], capture_output=True, text=True, check=True)
    assert 120e6 < int(given.stdout) < 190e6


def test_another_c_library_is_left_as_it_is(monkeypatch):
    from relax.runs import memory

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert not memory.keep_freed_memory()
    assert not memory.give_back_freed_memory()
