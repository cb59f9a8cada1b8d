"""What this computer is, in a line that a job can log. Light to import."""

import os
import platform
import re
from importlib.util import find_spec
from pathlib import Path

from relax.errors import ConfigError


def machine():
    """Processor, cores, memory, system and graphics processors, without the machine's name."""
    return "; ".join((_processor(), f"{os.cpu_count()} cores", _memory(), _system(), _gpus()))


def check_system():
    """Raise where the pipeline cannot run: it needs what only Linux, macOS and their like have.

    Raises:
        ConfigError: there are no locks on files as POSIX has them, as on Windows.
    """
    if find_spec("fcntl") is None:
        raise ConfigError(
            f"{platform.system()} is not supported: the pipeline runs on Linux and macOS. On "
            f"Windows use its Linux subsystem (WSL); the library, `import relax`, works without"
        )


def _processor():
    found = re.search(r"^model name\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _memory():
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # not every system tells
        return "memory unknown"
    return f"{size / 2**30:.1f} GiB"


def _system():
    return f"{platform.system()} {platform.release()} {platform.machine()}"


def _gpus():
    """Those that NVIDIA's driver lists; asking nvidia-smi would cost each job a second."""
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    found = [re.search(r"^Model:\s*(.*)$", _read(card), re.MULTILINE) for card in cards]
    return ", ".join(card[1].strip() for card in found if card) or "no NVIDIA GPU"


def _read(path):
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
