"""Corrections in words, as the page says them: what was done, what an undo would undo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ilk.corrections import Action

__all__ = ["called", "said", "steps", "updated"]


def called(names: Mapping[int, str], guesses: Mapping[int, Sequence[str]]) -> dict[int, str]:
    """Return what every group is called: its name, the word it looks like with a question mark, or its number.

    >>> called({0: "coat", 1: "", 2: "", 3: "", 4: "", 5: ""}, {1: ["clog"], 2: ["hat"], 3: ["hat"], 4: ["coat"]})
    {0: 'coat', 1: 'clog?', 2: 'hat? (2)', 3: 'hat? (3)', 4: 'coat? (4)', 5: 'group 5'}
    """
    words = {group: f"{guesses[group][0]}?" for group, name in names.items() if not name and guesses.get(group)}
    often = Counter([*words.values(), *(f"{name}?" for name in names.values() if name)])
    return {
        group: name or (f"{words[group]} ({group})" if often[words[group]] > 1 else words[group])
        if name or group in words
        else f"group {group}"
        for group, name in names.items()
    }


def said(action: Action, names: Mapping[int, str]) -> str:
    """Say what a correction did, in a few words: ``3 images moved to sleeves``; `names`: what groups are called."""

    def called(group: int) -> str:
        return names.get(group, f"group {group}")

    given = action.arguments
    count = _count(given.get("images", ()))
    if action.do == "move":
        return f"{count} moved to {called(given['to'])}"
    if action.do == "merge":
        into, *rest = given["groups"]
        return f"{', '.join(called(one) for one in rest)} merged into {called(into)}"
    if action.do == "rename":
        return f"group {given['group']} {'called ' + given['name'] if given['name'] else 'without a name'}"
    if action.do == "note":
        return f"note on {called(given['group'])} {'kept' if given['text'] else 'removed'}"
    if action.do == "split":
        return f"{count} split off {called(given['group'])} as {called(given['to'])}"
    if action.do == "new":
        return f"new group {given.get('name') or given['to']} of {count}"
    if action.do == "ignore":
        return f"{count} ignored"
    if action.do == "confirm":
        return f"{count} confirmed"
    if action.do == "regroup":
        return f"grouped again: {_count([key for keys in given.get('images', ()) for key in keys])} moved"
    return action.do


def updated(record: Mapping[str, Any]) -> str:
    """Say what an update did, as its update.json has it: ``20 images joined (update)``."""
    counts = record.get("counts", {})
    joined = [f"{_count(range(record['n']))} joined"] if record["n"] else []
    rest = [f"{counts[kind]:,} {word}" for kind, word in _KINDS.items() if counts.get(kind)]
    return f"{', '.join([*joined, *rest]) or 'looked at the source again'} (update)"


_KINDS = {"moved": "renamed", "back": "there again", "gone": "gone from the source"}


def steps(actions: Sequence[tuple[Action, bool]], redo: int, names: Mapping[int, str]) -> tuple[str | None, str | None]:
    """Return in words what undo would undo, and redo would do again, of `redo` such; None for nothing."""
    live = [one for one, on in actions if on]
    last = live[-1].n if live else 0
    undone = next((one for one, on in actions if not on and one.n > last), None) if redo else None
    return said(live[-1], names) if live else None, None if undone is None else said(undone, names)


def _count(images: Sequence[Any]) -> str:
    return f"{len(images):,} image{'' if len(images) == 1 else 's'}"
