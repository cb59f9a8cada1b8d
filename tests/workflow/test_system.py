"""Systems that cannot run the pipeline: the first sentence says so."""

import pytest

from relax.errors import ConfigError
from relax.runs import machine


def test_a_system_without_posix_locks_is_named(monkeypatch):
    """As Windows: which system it is, which ones are supported, and what works all the same."""
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    monkeypatch.setattr(machine.platform, "system", lambda: "Windows")
    with pytest.raises(ConfigError, match=r"Windows is not supported: .* Linux and macOS.*WSL"):
        machine.check_system()


def test_this_one_is_supported():
    machine.check_system()
