"""The suggested numbers of groups side by side, each with pictures of its groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ilk.report import words
from ilk.report.facts import Facts
from ilk.report.pictures import Pictures, data_uri
from ilk.runs import Run

ABOUT = {
    "coarse": "a level up",
    "natural": "the best by the evidence",
    "fine": "a level down",
}
SHOWN = 6  # pictures of a group
MAX_GROUPS = 24  # of a level
MAX_NAMED = 8


def level_views(run: Run, facts: Facts, pictures: Pictures, taken: int) -> list[dict[str, Any]]:
    """Return coarse, natural and fine, as far as they are known: their groups, largest first, each with some pictures.

    At most 24 groups of a level and 6 pictures of a group: 432 thumbnails, about half a megabyte.
    """
    levels = run.suggestions()
    views = [_level(name, levels[name], taken, facts) for name in ABOUT if name in levels]
    rows = [group["rows"] for view in views for group in view["groups"]]
    shown = iter(pictures.rows(rows))
    for view in views:
        for group in view["groups"]:
            group["pictures"] = [
                {"uri": data_uri(pixels, exact=pictures.small), "name": words.shortened(facts.paths[i], 120)}
                for i, pixels in zip(group["rows"], next(shown), strict=True)
            ]
    return views


def _level(name: str, level: Mapping[str, Any], taken: int, facts: Facts) -> dict[str, Any]:
    groups = sorted(level.get("groups") or [], key=lambda group: (-int(group["size"]), int(group["id"])))
    k = int(level["k"])
    return {
        "name": name,
        "about": ABOUT[name],
        "k": k,
        "taken": k == taken,
        "groups": [_group(name, group, facts) for group in groups[:MAX_GROUPS]],
        "more": max(0, len(groups) - MAX_GROUPS),
    }


def _group(name: str, group: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    rows = [int(i) for i in group.get("exemplars") or [] if 0 <= int(i) < len(facts.paths)]
    return {
        "size": int(group["size"]),
        "share": words.share(int(group["size"]), facts.n_readable),
        "relation": _relation(name, group),
        "rows": [i for i in rows if facts.status[i] != "unreadable"][:SHOWN],
    }


def _relation(name: str, group: Mapping[str, Any]) -> str:
    """Say how a group goes with the natural ones, by their numbers."""
    if name == "natural":
        return f"group {group['id']}"
    if name == "fine":
        return f"part of group {group['part_of']}"
    holds = [str(i) for i in group.get("holds") or []]
    if not holds:
        return f"part of group {group['part_of']}"
    more = f" and {len(holds) - MAX_NAMED} more" if len(holds) > MAX_NAMED else ""
    return f"{'groups' if len(holds) > 1 else 'group'} {', '.join(holds[:MAX_NAMED])}{more}"
