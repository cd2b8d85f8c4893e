"""Text of others on a terminal: names and messages are data, and never move the cursor."""

from __future__ import annotations

import re

from ilk import disk

__all__ = ["as_options", "printable", "shortened"]

_OPTIONS = {"n_clusters": "-k", "random_state": "--seed", "max_seconds": "--slice", "n_neighbors": "--nearest"}
_OPTIONS["near_duplicates"] = "--near-duplicates"
_OPTIONS |= {
    name: f"--{name}"
    for name in ("nearest", "weights", "encoder", "device", "precision", "cache", "split", "labels", "words")
}
# name=value where the name begins a word; the value as Python writes it
_ARGUMENT = re.compile(rf"(?<![\w/.=-])({'|'.join(_OPTIONS)})=('[^']*'|\"[^\"]*\"|[^\s,;:()]+)")
_BARE = re.compile(r"(?<![\w/.='-])(n_clusters|random_state)(?![\w/.='-])")

_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")  # make what follows read backwards


def printable(text: str) -> str:
    r"""Return `text` with control characters, and those that turn the direction of reading, written out.

    >>> printable("\x1b[31mred\n"), printable("gpj.\u202eexe")
    ('\\x1b[31mred\\x0a', 'gpj.\\u202eexe')
    """
    return _TURNING.sub(lambda found: f"\\u{ord(found[0]):04x}", disk.printable(text))


def as_options(text: str) -> str:
    """Return `text` with arguments of Python as the options of the command line that they come from.

    >>> as_options("n_clusters=9: give fewer. weights='a b.pt': no such file. n_clusters was 3, not 2")
    '-k 9: give fewer. --weights a b.pt: no such file. -k was 3, not 2'
    >>> as_options("photos/n_clusters=3.zip and min_threshold=3 stay")
    'photos/n_clusters=3.zip and min_threshold=3 stay'
    """
    text = _ARGUMENT.sub(lambda found: f"{_OPTIONS[found[1]]} {found[2].strip(chr(39) + chr(34))}", text)
    return _BARE.sub(lambda found: _OPTIONS[found[1]], text)


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
