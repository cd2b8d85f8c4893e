"""What a person can do to the groups of a run: one action a line of the journal, checked when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ilk import disk

__all__ = ["LARGEST", "MAX_NAME", "MAX_NOTE", "VERBS", "Action", "named", "noted", "parsed"]

LARGEST = 2**30
"""Groups have smaller numbers."""
MAX_NAME, MAX_NOTE = 200, 10_000
_MAX_KEY, _MAX_TIME = 1 << 16, 40

# verb -> what must be there; what may
VERBS: Mapping[str, tuple[str, str]] = {
    "rename": ("group name", ""),
    "move": ("images to", ""),
    "merge": ("groups", ""),
    "split": ("group images to", "examples"),
    "ignore": ("images", ""),
    "confirm": ("images groups", ""),
    "new": ("images to", "name"),
    "regroup": ("to images", "new gone"),
    "joined": ("to images", ""),
    "note": ("group text", ""),
    "undo": ("", ""),
    "redo": ("", ""),
}
"""Every action and its arguments."""


@dataclass(frozen=True)
class Action:
    """One line of the journal.

    Attributes
    ----------
    n : int
        Its number; later ones are larger.
    at : str
        When, in UTC.
    do : str
        One of `VERBS`.
    arguments : dict
        By verb: group, to (numbers of groups), groups (list of such), images, examples (lists of keys), name, text.
        Of regroup: to (list of groups), images (a list of keys for each), new (groups that it opens), gone (pairs of a
        group that it closes and the one that takes its images). Of joined, an update that nobody undoes: to, images.
    """

    n: int
    at: str
    do: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def line(self) -> bytes:
        """Return it as a line of the journal."""
        tight = (
            (",", ":") if self.do in ("regroup", "joined") else None
        )  # 35 bytes an image: 1.9 million fit into a journal
        entry = {"n": self.n, "at": self.at, "do": self.do, **self.arguments}
        return json.dumps(entry, separators=tight).encode("ascii") + b"\n"


def parsed(line: bytes) -> Action:
    """Return the action of a line of the journal.

    Raises
    ------
    ValueError
        It is none: no JSON, too large, an unknown action, or an argument that is missing or makes no sense.

    Examples
    --------
    >>> parsed(b'{"n": 3, "at": "2026-11-30T12:00:00Z", "do": "merge", "groups": [1, 4]}').arguments
    {'groups': [1, 4]}
    >>> parsed(b'{"n": 3, "do": "merge", "groups": [1, -4]}')
    Traceback (most recent call last):
    ValueError: merge: groups is no list of groups
    """
    found = disk.parse_json(line)
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    n, at, do = found.get("n"), found.get("at", ""), found.get("do")
    if not isinstance(n, int) or isinstance(n, bool) or not 0 < n < 2**53:
        raise ValueError("it has no number n")
    if not isinstance(at, str) or len(at) > _MAX_TIME or not at.isprintable():
        raise ValueError("its time is no text")
    if not isinstance(do, str) or do not in VERBS:
        raise ValueError("its action (do) is unknown: of a newer ilk?")
    needed, more = (words.split() for words in VERBS[do])
    if missing := [name for name in needed if name not in found]:
        raise ValueError(f"{do}: no {missing[0]}")
    arguments = {name: found[name] for name in (*needed, *more) if name in found}
    checks = {**_WRONG, **_WRONG_OF.get(do, {})}
    for name, value in arguments.items():
        if wrong := checks[name](value):
            raise ValueError(f"{do}: {name} {wrong}")
    if do == "confirm" and len(arguments["images"]) != len(arguments["groups"]):
        raise ValueError("confirm: not as many groups as images")
    if do in ("regroup", "joined") and len(arguments["images"]) != len(arguments["to"]):
        raise ValueError(f"{do}: not as many groups as lists of images")
    return Action(n, at, do, arguments)


def named(name: Any) -> str:
    """Say what is wrong with a name of a group; empty where nothing is.

    >>> named("sleeves"), named("")
    ('', '')
    """
    if not isinstance(name, str):
        return "is no text"
    if len(name) > MAX_NAME:
        return f"has more than {MAX_NAME} characters"
    return "" if name.isprintable() else "holds characters that cannot be shown"


def noted(text: Any) -> str:
    """Say what is wrong with a note, which may have several lines; empty where nothing is."""
    if not isinstance(text, str):
        return "is no text"
    if len(text) > MAX_NOTE:
        return f"has more than {MAX_NOTE:,} characters"
    return "" if all(line.isprintable() for line in text.split("\n")) else "holds characters that cannot be shown"


def _group(value: Any) -> str:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST
    return "" if fits else "is no group"


def _groups(value: Any) -> str:
    fits = isinstance(value, list) and bool(value) and not any(map(_group, value))
    return "" if fits else "is no list of groups"


def _images(value: Any) -> str:
    fits = isinstance(value, list) and all(isinstance(one, str) and 0 < len(one) <= _MAX_KEY for one in value)
    return "" if fits and value else "is no list of images"


def _examples(value: Any) -> str:
    return "" if value == [] else _images(value)


def _several(value: Any) -> str:
    fits = isinstance(value, list) and not any(map(_group, value)) and len(set(value)) == len(value)
    return "" if fits else "is no list of groups"


def _lists(value: Any) -> str:
    return "" if isinstance(value, list) and not any(map(_images, value)) else "is no list of lists of images"


def _pairs(value: Any) -> str:
    fits = isinstance(value, list) and all(isinstance(one, list) and len(one) == 2 for one in value)
    fits = fits and not any(map(_group, (group for one in value for group in one)))
    return "" if fits else "is no list of pairs of groups"


_WRONG = {
    "group": _group,
    "to": _group,
    "groups": _groups,
    "images": _images,
    "examples": _examples,
    "name": named,
    "text": noted,
}
_LISTS = {"to": _several, "images": _lists}
_WRONG_OF = {"regroup": {**_LISTS, "new": _several, "gone": _pairs}, "joined": _LISTS}
