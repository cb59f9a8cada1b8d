"""Files from elsewhere: a local path, a mirror directory or an address; each checked by its pin."""

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import requests

from relax.data.pins import check_pin, mismatch, pin_of
from relax.errors import DataError
from relax.files import placed_whole
from relax.runs.progress import BYTES, Progress

CHUNK = 1 << 16  # bytes
# Answers that a server may take back a moment later.
PASSING = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Transport:
    """How patient a download is, in seconds."""

    connect_timeout: float = 15.0
    read_timeout: float = 30.0  # the longest silence in the middle of an answer
    attempts: int = 4
    pause: float = 1.0  # before the second attempt; doubles from one to the next


def fetch(source, path, mirror=None, log=None, transport=None):
    """Put a declared file at `path`, whole and as pinned, or leave there what was there.

    A file that is there and as pinned stays. Otherwise it comes from the source's `path`; or, for a
    `url`, from the file of that name in the mirror if it has one, and else from the address.

    Args:
        source: `path` or `url`, and a pin; see `relax/data/datasets.yaml`.
        path: where to; its last part is the name searched in the mirror.
        mirror: a directory or None, relative to the working directory.
        log: an open text file or None.
        transport: a `Transport`.

    Raises:
        DataError: the file cannot be had, or is not the pinned one.
    """
    path, pin = Path(path), pin_of(source)
    if path.is_file() and mismatch(path, pin) is None:
        _note(log, f"{path} is there, as pinned")
        return
    local = Path(source["path"]).expanduser() if "path" in source else _mirrored(path.name, mirror)
    origin = local or source["url"]
    _note(log, f"{path.name}: from {origin}")
    try:
        with placed_whole(path) as temporary:
            if local:
                _copy(local, temporary)
            else:
                _download(origin, temporary, path.name, log, transport or Transport())
            check_pin(temporary, pin, origin)
    except OSError as error:
        raise DataError(f"{path} could not be made: {error}") from None


def _mirrored(name, mirror):
    """The file of this name in the mirror, or None."""
    if mirror is None:
        return None
    directory = Path(mirror).expanduser()
    if not directory.is_dir():
        raise DataError(f"data.mirror: there is no directory '{mirror}'; make it, or set null")
    return directory / name if (directory / name).is_file() else None


def _copy(source, target):
    if not source.is_file():
        raise DataError(f"there is no file '{source}'; put it there, or correct the path")
    shutil.copyfile(source, target)


def _download(url, target, name, log, transport):
    """Stream an address into a file, again after a failure that may pass."""
    for attempt in range(1, transport.attempts + 1):
        try:
            _stream(url, target, name, log, transport)
            return
        except requests.HTTPError as error:
            status = error.response.status_code
            reason = f"the server answers {status} {error.response.reason}"
            again = status in PASSING
        except (requests.ConnectionError, requests.Timeout) as error:
            reason, again = _plain(error), True
        except requests.exceptions.ChunkedEncodingError as error:
            reason, again = f"the transfer broke off ({_plain(error)})", True
        except requests.RequestException as error:
            reason, again = _plain(error), False
        _note(log, f"{name}: attempt {attempt} of {transport.attempts} failed: {reason}")
        if not again:
            break
        if attempt < transport.attempts:
            time.sleep(transport.pause * 2 ** (attempt - 1))
    raise DataError(
        f"{name} cannot be downloaded from {url}: {reason}. Check the network and the address, or "
        f"put the file into a directory and name that as data.mirror in the configuration."
    )


def _stream(url, target, name, log, transport):
    """One attempt. urllib3 compares what arrives with the announced length, if there is one."""
    timeouts = (transport.connect_timeout, transport.read_timeout)
    headers = {"Accept-Encoding": "identity"}  # the bytes as they are pinned, and their length
    with requests.get(url, stream=True, timeout=timeouts, headers=headers) as answer:
        answer.raise_for_status()
        length = answer.headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
        with Progress(name, total, log, counted=BYTES) as bar, open(target, "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                bar.advance(len(chunk))


def _note(log, text):
    if log:
        print(text, file=log, flush=True)


def _plain(error):
    """The innermost reason of a requests exception, without the names of the layers around it."""
    while nested := [
        e for e in (getattr(error, "reason", None), *error.args) if isinstance(e, Exception)
    ]:
        error = nested[0]
    return re.sub(r"^\w*Connection\w*\(.*?\): ", "", str(error)).rstrip(".")
