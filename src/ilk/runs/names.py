"""What a group is called: by a person, or, as long as nobody did, by its number and what its images look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["guessed", "looks_like", "own_name", "plain_name", "short_name", "shown_name"]

_MOST, _LONGEST = 3, 60


def own_name(group: Mapping[str, Any]) -> str:
    """Return the name that somebody gave to a group of clusters.json; empty where it has its number only.

    >>> own_name({"id": 3, "name": "sleeves"}), own_name({"id": 3, "name": "group 3"})
    ('sleeves', '')
    """
    name, number = str(group.get("name") or ""), str(group.get("id"))
    return "" if name.casefold() in (number, f"group {number}", f"group-{number}", "not assigned") else name


def plain_name(group: Mapping[str, Any]) -> str:
    """Return the name that somebody gave to a group, else its number.

    >>> plain_name({"id": 3, "name": "sleeves"}), plain_name({"id": 3}), plain_name({"id": -1, "name": "leftovers"})
    ('sleeves', 'group 3', 'not assigned')
    """
    number = int(group["id"])
    return "not assigned" if number < 0 else own_name(group) or f"group {number}"


def looks_like(group: Mapping[str, Any]) -> list[str]:
    """Return the words that were guessed for a group of clusters.json; none in a run that has none, or odd ones.

    >>> looks_like({"id": 3, "looks_like": [{"word": "sandal", "share": 0.3, "lift": 9.9}, {"word": "clog"}]})
    ['sandal', 'clog']
    >>> looks_like({"id": 3}), looks_like({"id": 3, "looks_like": "shoe"}), looks_like({"id": 3, "looks_like": [7]})
    ([], [], [])
    """
    found = group.get("looks_like")
    words = [one.get("word") for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
    fit = (word for word in words if isinstance(word, str) and 0 < len(word) <= _LONGEST and word.isprintable())
    return list(fit)[:_MOST]


def guessed(group: Mapping[str, Any]) -> list[str]:
    """Return the guessed words where they stand in for a name: nobody gave the group one.

    >>> guessed({"id": 3, "name": "sleeves", "looks_like": [{"word": "jersey"}]})
    []
    """
    return [] if int(group["id"]) < 0 or own_name(group) else looks_like(group)


def shown_name(group: Mapping[str, Any]) -> str:
    """Return what to call a group in one line.

    >>> shown_name({"id": 3, "name": "sleeves", "looks_like": [{"word": "jersey"}]})
    'sleeves'
    >>> shown_name({"id": 3, "name": "group 3", "looks_like": [{"word": "sandal"}, {"word": "clog"}]})
    'group 3 (looks like sandal, clog)'
    """
    words = guessed(group)
    return plain_name(group) + (f" (looks like {', '.join(words)})" if words else "")


def short_name(group: Mapping[str, Any]) -> str:
    """Return the same in a few words; a question mark says that the word is guessed.

    >>> short_name({"id": 3, "name": "group 3", "looks_like": [{"word": "sandal"}, {"word": "clog"}]})
    'group 3: sandal?'
    >>> short_name({"id": 3, "name": "sleeves"})
    'sleeves'
    """
    words = guessed(group)
    return plain_name(group) + (f": {words[0]}?" if words else "")


def source_name(source: Mapping[str, Any]) -> str:
    """Return where the images of a run are, as its header says: the path, or the first of several and how many more.

    >>> source_name({"spec": ["/photos", "/b.zip", "/c"]}), source_name({"spec": None})
    ('/photos and 2 more', '')
    """
    spec = source.get("spec") or ""
    if not isinstance(spec, list):
        return str(spec)
    return f"{spec[0]} and {len(spec) - 1:,} more" if len(spec) > 1 else str(spec[0])
