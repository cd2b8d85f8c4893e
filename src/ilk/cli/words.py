"""Text of others on a terminal: names and messages are data, and never move the cursor."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ilk import disk

__all__ = ["count", "few", "human", "printable", "shortened"]

_FEW = 3
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")  # make what follows read backwards


def printable(text: str) -> str:
    r"""Return `text` with control characters, and those that turn the direction of reading, written out.

    >>> printable("\x1b[31mred\n"), printable("gpj.\u202eexe")
    ('\\x1b[31mred\\x0a', 'gpj.\\u202eexe')
    """
    return _TURNING.sub(lambda found: f"\\u{ord(found[0]):04x}", disk.printable(text))


def shortened(name: str, width: int) -> str:
    """Return a path in at most about `width` characters. What people look for is kept: the name of the file itself.

    >>> shortened("a/b.jpg", 40), shortened("2019/holiday in greece/monday/IMG_2034.jpg", 28)
    ('a/b.jpg', '.../monday/IMG_2034.jpg')
    >>> shortened("x" * 30 + "-of-a-very-long-name-0034.jpg", 28)
    'xxxxxxxxxxxxx..name-0034.jpg'
    """
    if len(name) <= width:
        return name
    folders, _, own = name.rpartition("/")
    if len(own) + 4 > width:
        half = width // 2 - 1
        return f"{own[:half]}..{own[-half:]}" if len(own) > width else own
    kept = [own]
    for folder in reversed(folders.split("/")):
        if 4 + len("/".join([folder, *kept])) > width:
            break
        kept.insert(0, folder)
    return "/".join(["...", *kept])


def count(n: int, what: str) -> str:
    """Return `n` and the word for it.

    >>> count(1, "image"), count(2000, "image")
    ('1 image', '2,000 images')
    """
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def few(names: Sequence[str], what: str = "file") -> str:
    """Return how many there are, and which, up to three.

    >>> few(["a.jpg", "b.jpg"]), few(["a"] * 4)
    ('2 files (a.jpg, b.jpg)', '4 files')
    """
    some = f" ({', '.join(shortened(name, 60) for name in names)})" if 0 < len(names) <= _FEW else ""
    return count(len(names), what) + some


def human(size: float) -> str:
    """Return bytes as a person reads them.

    >>> human(900), human(1_234_567), human(5.6e9)
    ('900 B', '1.2 MB', '5.6 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
