"""Names of others as text that can be shown, stored, and opened in a spreadsheet."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["formula_note", "one_line", "printable"]

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def printable(raw: str) -> str:
    r"""A name that can be shown and stored: control characters and undecodable bytes become \xNN.

    >>> printable("caf\udce9\n.jpg")
    'caf\\xe9\\x0a.jpg'
    """
    if raw.isascii() and raw.isprintable():
        return raw
    return _UNPRINTABLE.sub(
        lambda m: (
            f"\\x{ord(m[0]) & 0xFF:02x}" if ord(m[0]) < 0x100 or "\udc80" <= m[0] <= "\udcff" else f"\\u{ord(m[0]):04x}"
        ),
        raw,
    )


def one_line(words: object) -> str:
    r"""What a library says, in one line that can be shown: for it, line breaks are spaces.

    >>> one_line(OSError("no header:\n  type \x0e\n"))
    'no header: type \\x0e'
    """
    return printable(" ".join(str(words).split()))


def formula_note(texts: Iterable[str]) -> list[str]:
    """Return a note for a CSV with `texts` in it that a spreadsheet would take for formulas; else nothing.

    Names are written as they are: with a mark in front they would no longer name their file.

    >>> formula_note(["a.jpg"]), len(formula_note(["=1.jpg", "-rf.png"]))
    ([], 1)
    """
    if n := sum(text.lstrip().startswith(("=", "+", "-", "@")) for text in texts):
        return [f"{n:,} names begin with = + - or @, which a spreadsheet takes for formulas: import them as text"]
    return []
