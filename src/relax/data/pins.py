"""Pins: what the content of a file must be, {kind: hexadecimal digits}. Light to import.

Kinds: `sha256`, and `git_blob`, the name that git gives to a content. Beside either,
`text_sha256` is the pin of the same array written as text, which serves as well.
"""

import hashlib
from pathlib import Path

from relax.errors import DataError

KINDS = ("sha256", "git_blob")
AS_TEXT = "text_sha256"


def pin_of(source):
    """The pin of a declared file (see `relax/data/datasets.yaml`)."""
    return {kind: source[kind] for kind in (*KINDS, AS_TEXT) if kind in source}


def digest(path, kind):
    """Hexadecimal digits of a file's pin of this kind."""
    if kind == "git_blob":
        head = b"blob %d\0" % Path(path).stat().st_size
        state = hashlib.sha1(head, usedforsecurity=False)
    else:
        state = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()


def check_pin(path, pin, origin):
    """Raise if a file is not the pinned one; `origin` is what the message calls it.

    Raises:
        DataError: with both digests.
    """
    if difference := mismatch(path, pin):
        raise DataError(
            f"{origin} is not the pinned file: {difference}. It is damaged or has changed: get a "
            f"good copy, or correct the pin if this is the content that you want."
        )


def mismatch(path, pin):
    """What differs, in words, or None."""
    (kind,) = [kind for kind in pin if kind != AS_TEXT]
    got = digest(path, kind)
    if got == pin[kind] or (AS_TEXT in pin and digest(path, "sha256") == pin[AS_TEXT]):
        return None
    size = Path(path).stat().st_size
    return f"its {kind} is {got} ({size} bytes), the pin is {pin[kind]}"
