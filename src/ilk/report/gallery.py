"""The pictures of a report, within a budget: strips of every group, and the map."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.report import words
from ilk.report.facts import NOISE, Facts, Group, borderline, central
from ilk.report.map import draw_map
from ilk.report.marks import DARK, LIGHT, Theme, rendered
from ilk.report.pictures import Pictures

EXEMPLARS = 12
EDGE = 8
MAX_PICTURES = 4000
BUDGET = 5_000_000  # bytes of pictures of groups in the page
MAX_CARDS = 1000
MAX_ROWS = 5000


def group_views(facts: Facts, pictures: Pictures, majority: Mapping[int, str]) -> dict[str, Any]:
    """Return the cards of the largest groups, one line for each further one, and how many were left out."""
    groups = facts.groups
    largest = max((g.size for g in groups), default=1) or 1
    lines: list[dict[str, Any]] = [
        {
            "id": g.id,
            "title": words.shortened(g.title, 90),
            "guess": words.shortened(", ".join(g.words), 90),
            "noise": g.id == NOISE,
            "size": g.size,
            "share": words.share(g.size, facts.n_readable),
            "percent": round(100 * g.size / largest, 2),
            "silhouette": None if g.id == NOISE else g.silhouette,
            "reduced": None if g.id == NOISE else g.reduced,
            "word": g.word,
            "confidence": None if g.id == NOISE else g.confidence,
            "nearest": None,
            "majority": words.shortened(majority[g.id], 80) if g.id in majority else None,
        }
        for g in groups[:MAX_ROWS]
    ]
    known = {line["id"] for line in lines[:MAX_CARDS]}
    titles = {g.id: words.shortened(g.caption, 90) for g in groups[:MAX_ROWS]}
    for line, group in zip(lines, groups, strict=False):
        if group.nearest in titles and group.nearest != group.id:
            line["nearest"] = {"title": titles[group.nearest], "linked": group.nearest in known, "id": group.nearest}
    for line, strips in zip(lines, _strips(facts, pictures, groups[:MAX_CARDS]), strict=False):
        line.update(strips)
    left = groups[MAX_ROWS:]
    keep_within(lines[:MAX_CARDS], BUDGET)
    return {
        "guessed": any(line["guess"] for line in lines),
        "cards": lines[:MAX_CARDS],
        "rows": lines[MAX_CARDS:],
        "n_left": len(left),
        "n_left_images": sum(g.size for g in left),
    }


def _strips(facts: Facts, pictures: Pictures, groups: list[Group]) -> list[dict[str, Any]]:
    """Return the central and the borderline pictures of every group, as long as the budget lasts.

    Where there are no pictures, the names of the central images.
    """
    room = _room(pictures, groups) // max(1, len(groups))
    n_central = min(EXEMPLARS, max(3, room * 2 // 3))
    n_edge = min(EDGE, max(0, room - n_central))
    first = [central(facts, g, n_central) for g in groups]
    last = [borderline(facts, g, n_edge, shown) for g, shown in zip(groups, first, strict=True)]
    rows = [row for pair in zip(first, last, strict=True) for row in pair]
    if not pictures.there:
        return [
            {"central": [], "edge": [], "names": [words.shortened(facts.paths[i], 60) for i in row]} for row in first
        ]
    shown = iter(pictures.addresses([i for row in rows for i in row]))
    cells = [
        [{"uri": next(shown), "name": words.shortened(facts.paths[i], 120), "row": i} for i in row] for row in rows
    ]
    return [
        {"central": inner, "edge": outer, "names": []} for inner, outer in zip(cells[::2], cells[1::2], strict=True)
    ]


def _room(pictures: Pictures, groups: list[Group]) -> int:
    """Return how many pictures the budget is enough for, by the size of some."""
    some = [group.exemplars[0] if group.exemplars else int(group.members[0]) for group in groups[:64] if group.size]
    mean = sum(map(len, pictures.addresses(some))) / max(1, len(some))
    return min(MAX_PICTURES, int(BUDGET / max(1.0, mean)))


def keep_within(cards: list[dict[str, Any]], budget: int) -> int:
    """Take the pictures from the smallest groups until those of `cards` fit `budget`; return their bytes.

    Whole rows go, from the first one that does not fit: a group is shown by its pictures or not at all.
    """
    total, full = 0, False
    for card in cards:
        for row in ("central", "edge"):
            size = sum(len(cell["uri"]) for cell in card[row])
            full = full or total + size > budget
            card[row] = [] if full else card[row]
            total += 0 if full else size
    return total


def map_views(facts: Facts, layout: npt.NDArray[Any] | None) -> dict[str, str] | None:
    """Return the map for a light and for a dark page, or None where the run has none."""
    if layout is None:
        return None
    found = {name: _map(facts, np.asarray(layout), theme) for name, theme in (("light", LIGHT), ("dark", DARK))}
    return {k: v for k, v in found.items() if v is not None} or None


def _map(facts: Facts, layout: npt.NDArray[Any], theme: Theme) -> str | None:
    figure = draw_map(facts, layout, theme, title=False)
    if figure is None:
        return None
    buffer = io.BytesIO()
    rendered(figure, 160).save(buffer, "WEBP", quality=72, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
