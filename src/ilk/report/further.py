"""What else the page shows when it is asked: all images of a group, and larger pictures, as far as there is room.

The pictures of the cards stand in the page itself. These are beside them, as text that the page's script turns into
pictures when somebody asks for one; so no browser unpacks them before, and no name is ever markup.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as resources
from typing import Any

import numpy as np
from markupsafe import Markup

from ilk.report.facts import Facts
from ilk.report.pictures import Pictures
from ilk.report.words import shortened, visible

MAX_NAMED = 20_000  # images with a name in the page
MORE = 6_000_000  # bytes of thumbnails
LARGE = 6_000_000  # bytes of larger pictures
SIDE = 480  # px of the longer side of one
_STEP = 64  # pictures that are made before the room is looked at again

_SAID = {1: "put here by a person", 2: "confirmed by a person"}


@dataclass
class Further:
    """Pictures beside those of the cards.

    Attributes
    ----------
    data : str
        gzip, base64: JSON of what is there and what it is called.
    more, large : str
        The pictures as base64, with spaces between: thumbnails, and larger ones.
    script : Markup
        The page's own script that shows them.
    policy : str
        The source that a Content-Security-Policy has to allow for it, by its hash.
    rows : set of int
        Images that have a thumbnail in the page, those of the cards included.
    """

    data: str
    more: str
    large: str
    script: Markup
    policy: str
    rows: set[int]
    n_large: int


def further(
    facts: Facts, pictures: Pictures, cards: Sequence[Mapping[str, Any]], room: int, run: str
) -> Further | None:
    """Return what the page holds beside `cards` within `room` bytes; None where the run has no pictures.

    Thumbnails: of each group central ones, doubtful ones and some at random, the same number of every group, or all.
    Larger pictures: those of the cards, the most central of every group first; they need the source.

    Parameters
    ----------
    cards
        As in the page; each cell has the row of its image.
    run
        Name of the run, for the command that shows the rest.
    """
    if not pictures.there:
        return None
    strips = [[cell["row"] for part in ("central", "edge") for cell in card[part]] for card in cards]
    inside = {row for strip in strips for row in strip}
    order = [row for row in chosen(facts) if row not in inside]
    more = _within(order, min(MORE, room), lambda part: [uri.partition(",")[2] for uri in pictures.addresses(part)])
    in_turn = dict.fromkeys(row for rows in itertools.zip_longest(*strips) for row in rows if row is not None)
    left = min(LARGE, room - sum(map(len, more.values())))
    large = _within(in_turn, left, lambda part: [_text(data) for data in pictures.larger(part, SIDE)])
    rows = inside | more.keys()
    script = resources("ilk.report").joinpath("templates", "pictures.js").read_text("utf-8")
    record = _record(facts, cards, rows, run) | {"more": list(more), "large": list(large), "small": pictures.small}
    packed = gzip.compress(json.dumps(record, separators=(",", ":")).encode(), 6, mtime=0)
    return Further(
        data=base64.b64encode(packed).decode(),
        more=" ".join(more.values()),
        large=" ".join(large.values()),
        script=Markup(script),  # noqa: S704 - our own file
        policy=f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'",
        rows=rows,
        n_large=len(large),
    )


def _text(data: bytes | None) -> str:
    return "" if data is None else base64.b64encode(data).decode()


def _within(order: Iterable[int], room: int, make: Any) -> dict[int, str]:
    """Return pictures of images in turn, until the first that does not fit any more; those without one are passed."""
    found: dict[int, str] = {}
    rows = list(order)
    for start in range(0, len(rows), _STEP):
        part = rows[start : start + _STEP]
        for row, text in zip(part, make(part), strict=True):
            room -= len(text) + 1
            if room < 0:
                return found
            if text:
                found[row] = text
    return found


def _record(facts: Facts, cards: Sequence[Mapping[str, Any]], rows: set[int], run: str) -> dict[str, Any]:
    """Return the images of every card, the most central ones first, and names; visible characters only."""
    by_id = {group.id: group for group in facts.groups}
    groups: dict[str, dict[str, Any]] = {}
    for card in cards:
        members = by_id[card["id"]].members
        near = members[np.argsort(np.nan_to_num(facts.distance[members], nan=np.inf), kind="stable")]
        shown = [row for row in near.tolist() if row in rows]
        groups[str(card["id"])] = {"rows": shown, "size": len(members), "title": visible(shortened(card["title"], 90))}
    named = [row for group in groups.values() for row in group["rows"]][:MAX_NAMED]
    said = np.zeros(len(facts.paths), np.int8) if facts.said is None else facts.said
    confidence = np.round(facts.confidence, 2)
    return {
        "groups": groups,
        "names": {row: shortened(visible(facts.paths[row]), 120) for row in named},
        "confidence": {row: float(confidence[row]) for row in named if np.isfinite(confidence[row])},
        "said": {row: _SAID[int(said[row])] for row in named if int(said[row]) in _SAID},
        "command": f"ilk gallery {shortened(visible(run), 120)}",
    }


# -- which images ------------------------------------------------------------------------------------------------------


MOST = 8_000
CENTRAL, DOUBTFUL = 0.4, 0.3  # of a group's thumbnails; the others are drawn at random


def chosen(facts: Facts, limit: int = MOST) -> list[int]:
    """Return up to `limit` images: of each group central ones, doubtful ones, and some at random.

    Small groups come whole; what they leave of their share goes to the larger ones.
    """
    groups = [g.members for g in facts.groups]
    quotas = fair_shares([len(members) for members in groups], limit)
    rng = np.random.default_rng(0)
    found: list[int] = []
    for members, quota in zip(groups, quotas, strict=True):
        if quota >= len(members):
            found += members.tolist()
            continue
        near = members[np.argsort(np.nan_to_num(facts.distance[members], nan=np.inf), kind="stable")]
        doubt = facts.silhouette if np.isfinite(facts.silhouette[members]).any() else facts.confidence
        far = members[np.argsort(np.nan_to_num(doubt[members], nan=np.inf), kind="stable")]
        first = dict.fromkeys(near[: int(CENTRAL * quota)].tolist())
        first |= dict.fromkeys(far[: int(DOUBTFUL * quota)].tolist())
        first |= dict.fromkeys(rng.permutation(members).tolist())
        found += list(first)[:quota]
    return [int(i) for i in rng.permutation(found)]  # where the page has no room for all, every group loses some


def fair_shares(sizes: list[int], limit: int) -> list[int]:
    """Share `limit` out evenly; who needs fewer gives the others what is left.

    >>> fair_shares([2, 100, 50], 52)
    [2, 25, 25]
    >>> fair_shares([1, 1, 1], 2)
    [1, 1, 0]
    """
    shares, left = [0] * len(sizes), limit
    order = sorted(range(len(sizes)), key=lambda i: (sizes[i], i))
    for turn, i in enumerate(order):
        shares[i] = min(sizes[i], -(-left // (len(sizes) - turn)))
        left -= shares[i]
    return shares
