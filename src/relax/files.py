"""Bytes in and out: files appear whole or not at all."""

import os
import platform
import re
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def placed_whole(path):
    """A temporary path beside `path`, moved onto it if the block succeeds and removed if not.

    The data reaches the disk before the name does, so a kill or a full disk leaves either the old
    file or the new one, never a part of one. What a killed process has left beside it goes when the
    same file is written again.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear(path)
    temporary = path.with_name(f".{path.stem}.{_here()}-{os.getpid()}{path.suffix}")
    try:
        temporary.touch()
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _here():
    return re.sub(r"[^A-Za-z0-9]", "", platform.node())


def _clear(path):
    """Remove the temporary files of `path` whose processes, on this machine, are no more."""
    start, end = f".{path.stem}.{_here()}-", path.suffix
    for old in path.parent.glob(f".{glob_free(path.stem)}.*{glob_free(end)}"):
        number = old.name.removeprefix(start).removesuffix(end)
        if old.name.startswith(start) and number.isdigit() and not _alive(int(number)):
            with suppress(OSError):
                old.unlink()


def glob_free(text):
    """A name as a pattern that stands for itself."""
    return re.sub(r"([\[\]*?])", r"[\1]", text)


def _alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
