"""Corrections in words, as the page says them: what was done, what an undo would undo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ilk.corrections import Action, Grouping
from ilk.runs import looks_like as guessed_words

__all__ = ["called", "looks_like", "said", "steps"]


def called(group: int, grouping: Grouping) -> str:
    """Return what a group is called: its name, or its number."""
    return grouping.names.get(group, "") or f"group {group}"


def looks_like(record: Mapping[str, Any], group: int) -> list[str]:
    """Return the words that were guessed for a group, as it was found."""
    return guessed_words({"id": group, **record})


def said(action: Action, grouping: Grouping) -> str:
    """Say what a correction did, in a few words: ``3 images moved to sleeves``."""
    given = action.arguments
    count = _count(given.get("images", ()))
    if action.do == "move":
        return f"{count} moved to {called(given['to'], grouping)}"
    if action.do == "merge":
        into, *rest = given["groups"]
        return f"{', '.join(called(one, grouping) for one in rest)} merged into {called(into, grouping)}"
    if action.do == "rename":
        return f"group {given['group']} {'called ' + given['name'] if given['name'] else 'without a name'}"
    if action.do == "note":
        return f"note on {called(given['group'], grouping)} {'kept' if given['text'] else 'removed'}"
    if action.do == "split":
        return f"{count} split off {called(given['group'], grouping)} as {called(given['to'], grouping)}"
    if action.do == "new":
        return f"new group {given.get('name') or given['to']} of {count}"
    if action.do == "ignore":
        return f"{count} ignored"
    if action.do == "confirm":
        return f"{count} confirmed"
    if action.do == "regroup":
        return f"grouped again: {sum(map(len, given.get('images', ()))):,} images moved"
    return action.do


def steps(actions: Sequence[tuple[Action, bool]], grouping: Grouping) -> tuple[str | None, str | None]:
    """Return in words what undo would undo, and redo would do again; None for nothing."""
    live = [one for one, on in actions if on]
    last = live[-1].n if live else 0
    undone = next((one for one, on in actions if not on and one.n > last), None) if grouping.redo else None
    return said(live[-1], grouping) if live else None, None if undone is None else said(undone, grouping)


def _count(images: Sequence[Any]) -> str:
    return f"{len(images):,} image{'' if len(images) == 1 else 's'}"
