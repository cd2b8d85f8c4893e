"""The interactive map: which points it holds, and how they and plotly travel inside one page."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import importlib.util
import json
from collections.abc import Set
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from ilk.report.facts import NOISE, Facts, Group
from ilk.report.map import MAX_LABELS, is_hidden
from ilk.report.marks import DARK, LIGHT
from ilk.report.words import shortened, visible
from ilk.runs import Run

MAX_POINTS = 20_000
GRID = 10_000  # steps of each axis: finer than a screen
SYMBOLS = (
    *("circle", "triangle-up", "square", "diamond", "triangle-down"),
    *("cross", "star", "x", "triangle-left", "triangle-right"),
)


@dataclass(frozen=True)
class Interactive:
    """What the page holds for its interactive map.

    Attributes
    ----------
    data, plotly : str
        gzip, base64: JSON of the points, and the script of plotly. So no character of a file name is ever markup.
    script : str
        The page's own script.
    policy : str
        The sources that a Content-Security-Policy has to allow for these two scripts, by their hashes.
    """

    data: str
    plotly: str
    script: Markup
    policy: str
    n_points: int
    n_thumbs: int
    n_placed: int
    has_confidence: bool


def interactive(run: Run, facts: Facts, pictured: Set[int] = frozenset(), small: bool = False) -> Interactive | None:
    """Return the interactive map; None where the run has no map, or plotly is not installed.

    Parameters
    ----------
    pictured
        Images whose thumbnail is in the page: all of them get a point.
    small
        They are shown pixel by pixel.
    """
    layout, packed = run.map(), _plotly()
    if layout is None or packed is None:
        return None
    layout = np.asarray(layout, np.float64)
    placed = np.isfinite(layout).all(axis=1) & (facts.labels >= NOISE)
    if not placed.any():
        return None
    thumbs = sorted(row for row in pictured if placed[row])
    points = chosen_points(facts, placed, thumbs)
    plotly, digest = packed
    script = resources("ilk.report").joinpath("templates", "map.js").read_text("utf-8")
    own = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    payload = json.dumps(_payload(facts, layout, placed, points, set(thumbs), small), separators=(",", ":"))
    return Interactive(
        data=_packed(payload.encode()),
        plotly=plotly,
        script=Markup(script),  # noqa: S704 - our own file
        policy=f"'sha256-{own}' 'sha256-{digest}'",
        n_points=len(points),
        n_thumbs=len(set(thumbs) & set(points)),
        n_placed=int(placed.sum()),
        has_confidence=bool(np.isfinite(facts.confidence[points]).any()),
    )


@functools.cache
def _plotly() -> tuple[str, str] | None:
    """Return plotly's script, gzip + base64, and its SHA-256; None where plotly is missing. plotly is not imported."""
    spec = importlib.util.find_spec("plotly")
    locations = spec.submodule_search_locations if spec is not None else None
    path = Path(next(iter(locations))) / "package_data" / "plotly.min.js" if locations else None
    if path is None or not path.is_file():
        return None
    code = path.read_bytes()
    return _packed(code), base64.b64encode(hashlib.sha256(code).digest()).decode()


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def _payload(
    facts: Facts,
    layout: npt.NDArray[np.float64],
    placed: npt.NDArray[np.bool_],
    points: list[int],
    thumbs: Set[int],
    small: bool,
) -> dict[str, Any]:
    """Return columns of the points (positions in whole steps, confidence in per cent or −1), one record per group."""
    # the middle 99.8 % of the images fill the frame, as in the static map; the others are a zoom away
    low, high = np.quantile(layout[placed], (0.001, 0.999), axis=0)
    span = np.where(high > low, high - low, 1.0)
    steps = np.round((layout - low) / span * GRID)
    numbers = {g.id: i for i, g in enumerate(facts.groups)}
    confidence = np.round(100 * np.nan_to_num(facts.confidence[points], nan=-0.01)).astype(int)
    groups = [_group(g, steps, placed, i < MAX_LABELS) for i, g in enumerate(facts.groups)]
    for turn, record in enumerate(sorted((r for r in groups if r["id"] != NOISE), key=lambda r: int(r["id"]))):
        record["colour"] = turn % len(LIGHT.palette)
        record["symbol"] = SYMBOLS[turn // len(LIGHT.palette) % len(SYMBOLS)]
    return {
        "x": steps[points, 0].astype(int).tolist(),
        "y": steps[points, 1].astype(int).tolist(),
        "group": [numbers[int(facts.labels[i])] for i in points],
        "confidence": confidence.tolist(),
        "thumb": [i if i in thumbs else -1 for i in points],
        "name": [shortened(visible(facts.paths[i]), 90) for i in points],
        "groups": groups,
        "grid": GRID,
        "small": small,
        "palettes": {"light": LIGHT.palette, "dark": DARK.palette},
        "greys": {"light": LIGHT.grey, "dark": DARK.grey},
    }


def _group(group: Group, steps: npt.NDArray[np.float64], placed: npt.NDArray[np.bool_], label: bool) -> dict[str, Any]:
    mine = steps[group.members[placed[group.members]]]
    middle = np.median(mine, axis=0).round().astype(int).tolist() if len(mine) and label and group.id != NOISE else None
    title, text = visible(group.caption), shortened(visible(group.label), 24)
    return {
        "id": group.id,
        "title": shortened(title, 60),
        "label": text,
        "listed": shortened(visible(f"{group.title}: {group.words[0]}?" if group.words else group.title), 60),
        "size": group.size,
        "middle": middle,
        "above": middle is not None and is_hidden(mine / GRID, text),  # its label: it would cover the group
        "colour": -1,
        "symbol": "circle",
    }


# -- which images ------------------------------------------------------------------------------------------------------


def chosen_points(facts: Facts, placed: npt.NDArray[np.bool_], thumbs: list[int], limit: int = MAX_POINTS) -> list[int]:
    """Return up to `limit` images to draw, by index: those of `thumbs`, and the same share of every group at random."""
    everyone = np.flatnonzero(placed)
    if len(everyone) <= limit:
        return [int(i) for i in everyone]
    taken = np.zeros(len(placed), bool)
    taken[thumbs] = True
    rng = np.random.default_rng(0)
    groups = [g.members[placed[g.members]] for g in facts.groups]
    share = limit / len(everyone)
    wanted = np.array([max(int(share * len(members)), int(taken[members].sum())) for members in groups])
    room = limit - len(thumbs)
    extra = wanted - np.array([int(taken[members].sum()) for members in groups])
    if extra.sum() > room:
        extra = (extra * (room / extra.sum())).astype(int)
    for members, more in zip(groups, extra.tolist(), strict=True):
        taken[rng.permutation(members[~taken[members]])[:more]] = True
    return [int(i) for i in np.flatnonzero(taken)]
