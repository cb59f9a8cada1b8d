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


def test_another_c_library_is_left_as_it_is(monkeypatch):
    from relax.runs import memory

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert not memory.keep_freed_memory()
