"""Text of others on a terminal: names and messages are data, and never move the cursor."""

from __future__ import annotations

import re

from ilk import disk

__all__ = ["printable"]

_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")  # make what follows read backwards


def printable(text: str) -> str:
    r"""Return `text` with control characters, and those that turn the direction of reading, written out.

    >>> printable("\x1b[31mred\n"), printable("gpj.\u202eexe")
    ('\\x1b[31mred\\x0a', 'gpj.\\u202eexe')
    """
    return _TURNING.sub(lambda found: f"\\u{ord(found[0]):04x}", disk.printable(text))
