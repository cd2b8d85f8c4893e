"""How what is kept is named, checked and written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ilk import disk
from ilk.errors import DataError

__all__ = ["digest", "not_kept", "write_whole", "writing"]


def digest(*parts: Any) -> str:
    """Return 32 hex digits that stand for the JSON of `parts`.

    Examples
    --------
    >>> digest("a", {"b": 1}) == digest("a", {"b": 1}), len(digest())
    (True, 32)
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into one that says what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        help_ = "free some space" if full else "check its permissions"
        raise DataError(f"cannot write {path}: {error.strerror or error}; {help_} or choose another --cache") from None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut.

    Raises
    ------
    DataError
        The disk is full, or the folder cannot be written. Nothing half-written remains.
    """
    with writing(path.parent):
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        disk.own_folder(path.parent)
        disk.write_bytes(path, data)


def not_kept(cache: Path, error: BaseException) -> str:
    """Return the note that `cache` must not be written, for the reason in `error`."""
    while not isinstance(error, OSError):
        error = error.__context__ or OSError("it is refused")
    why = error.strerror or error
    return (
        f"the cache {cache} cannot be written ({why}): nothing new is kept for later runs; choose another with --cache"
    )
