"""Errors and notes that quote names of others: in one line, and without what moves a cursor or turns the reading."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ilk.disk import printable
from ilk.errors import DataError

__all__ = ["plain", "plain_errors"]

_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")  # make what follows read backwards


def plain(text: str) -> str:
    r"""Return `text` with control characters, and those that turn the direction of reading, written out.

    >>> plain("\x1b[31mred"), plain("gpj.\u202eexe")
    ('\\x1b[31mred', 'gpj.\\u202eexe')
    """
    return _TURNING.sub(lambda found: f"\\u{ord(found[0]):04x}", printable(text))


@contextmanager
def plain_errors() -> Iterator[None]:
    """Let each DataError say what it says in `plain` text: column, key and member names are written by others."""
    try:
        yield
    except DataError as error:
        text = str(error)
        if (shown := plain(text)) == text:
            raise
        raise DataError(shown) from error.__cause__
