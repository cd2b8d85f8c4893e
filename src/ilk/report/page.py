"""The report: one HTML file that holds everything it shows, and opens offline; its two scripts only draw the map."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ilk import disk
from ilk.files import passed
from ilk.report import words
from ilk.report.embedded import plot_views
from ilk.report.facts import Facts, gather
from ilk.report.further import further
from ilk.report.gallery import BUDGET, group_views, keep_within, map_views
from ilk.report.interactive import interactive
from ilk.report.levels import level_views
from ilk.report.map import MAX_LABELS
from ilk.report.pictures import Pictures, Source
from ilk.report.sections import choice_view, how_view, scores_view
from ilk.runs import Run, source_name
from ilk.showing.notes import to_look_at

MAX_REASONS = 200
MAX_TWINS = 100
MAX_IN_SET = 6
MAX_WARNINGS = 50
MAX_BYTES = 14_900_000
_RESERVED = 3_500_000  # for plotly, the points of the map, and the texts of the page


def write_report(run: Run, out: Path | None = None, source: Source = None) -> Path:
    """Write the report of a finished run as one self-contained HTML file.

    Parameters
    ----------
    run
        A finished run, from `ilk.runs.load_run`.
    out
        The file to write; ``<run>/report.html`` by default. Replaced in one step.
    source
        Where the images are, or the opened source: the pictures of the first groups are then made from the images
        themselves where its thumbnails are small, and larger pictures can be looked at. May be missing or gone.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    RunError
        A table of the run is missing or damaged.

    Notes
    -----
    The file stays below 15 MB whatever the run holds: plotly takes 2 MB, the pictures of the cards at most 5, further
    thumbnails and larger pictures at most 6 each, and less where the rest needs the room; lists have caps and say what
    they left out. Images are decoded for the larger pictures alone, a few hundred at most.
    """
    facts = gather(run)
    pictures = Pictures(run, facts, source)
    page = _rendered(_view(run, facts, pictures))
    if out is None:
        out = run.path / "report.html"
        disk.write_bytes(out, page)
    else:
        with disk.output(Path(out)) as file:
            file.write(page)
    return Path(out)


def _rendered(view: dict[str, Any]) -> bytes:
    """Return the page; pictures of the smallest groups are left out where it would be larger than MAX_BYTES."""
    template, cards = _environment().get_template("report.html"), view["groups"]["cards"]
    page = template.render(view).encode()
    if len(page) > MAX_BYTES and view["further"] is not None:
        view["further"].large = view["further"].more = ""  # the page says so where they are missed
        page = template.render(view).encode()
    while len(page) > MAX_BYTES and (left := keep_within(cards, BUDGET)):
        keep_within(cards, max(0, left - (len(page) - MAX_BYTES) - 10_000))
        page = template.render(view).encode()
    return page


@cache
def _environment() -> Environment:
    """Return the environment of the templates: everything is escaped, an unknown name is an error.

    It is made once in a process, and so are the templates compiled.
    """
    environment = Environment(
        loader=PackageLoader("ilk.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(
        count=words.count, counted=words.counted, duration=words.duration, decimal=words.decimal, short=words.shortened
    )
    return environment


def _shown(value: Any) -> Any:
    """Make control and bidi characters of data visible; markup of our own passes."""
    if value is None:
        return "–"
    return words.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _view(run: Run, facts: Facts, pictures: Pictures) -> dict[str, Any]:
    """Return everything the template shows."""
    scores = scores_view(run.scores(), facts)
    views = group_views(facts, pictures, scores["majority"] if scores else {})
    choice = choice_view(run, facts)
    maps, plots, levels = (
        map_views(facts, run.map()),
        plot_views(run, facts),
        level_views(run, facts, pictures, choice["k"]),
    )
    room = MAX_BYTES - _RESERVED - sum(map(_length, (views, maps, plots, levels)))
    beside = further(facts, pictures, views["cards"], room, run.path.name.removesuffix(".partial"))
    live = interactive(run, facts, frozenset() if beside is None else beside.rows, pictures.small)
    warnings = _warnings(facts)
    return {
        "title": _title(run, facts),
        "head": _head(run, facts),
        "warnings": warnings,
        "groups": views,
        "apart_means": words.meaning() if words.calibrated(facts.header) else "",
        "pixelated": pictures.small,
        "pictures": pictures.there,
        "own_features": bool((facts.header.get("source") or {}).get("features")),
        "pictures_note": pictures.note,
        "labelled": MAX_LABELS if facts.n_groups > MAX_LABELS else 0,
        "maps": maps,
        "live": live,
        "further": beside,
        "policy": " ".join(part.policy for part in (beside, live) if part is not None),
        "plots": plots,
        "choice": choice,
        "levels": levels,
        "scores": scores,
        "unreadable": _unreadable(facts),
        "passed": _passed(facts),
        "duplicates": _duplicates(facts),
        "how": {**how_view(run, facts), "notes": warnings["made"]},
    }


def _length(view: Any) -> int:
    """Return the length of all texts in a view."""
    if isinstance(view, Mapping):
        return sum(map(_length, view.values()))
    if isinstance(view, list):
        return sum(map(_length, view))
    return len(view) if isinstance(view, str) else 0


def _title(run: Run, facts: Facts) -> str:
    """Return what was grouped: the last part of the source's path."""
    record = facts.header.get("source") or {}
    name = source_name({"spec": record["spec"][:1]} if isinstance(record.get("spec"), list) else record)
    name = name or run.path.name.removesuffix(".partial")
    last = words.shortened(name.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1] or name, 80)
    return last + source_name(record)[len(name) :] if isinstance(record.get("spec"), list) else last


def _passed(facts: Facts) -> list[dict[str, Any]]:
    """Return what the source held beside its images: how many of what, examples, and how to take them in."""
    record = (facts.header.get("source") or {}).get("passed_over") or {}
    return [
        {
            "what": what,
            "examples": words.shortened(", ".join(map(str, (record[kind].get("examples") or [])[:3])), 300),
            "cure": words.shortened(str(record[kind].get("cure") or ""), 200),
        }
        for kind, what in passed.counted(record)
    ]


def _head(run: Run, facts: Facts) -> dict[str, Any]:
    source: Mapping[str, Any] = facts.header.get("source") or {}
    noise = next((g.size for g in facts.groups if g.id < 0), 0)
    return {
        "method": str(facts.header.get("method") or "unknown method"),
        "spec": words.shortened(source_name(source), 300),
        "kind": str(source.get("kind") or ""),
        "created": re.sub(r"^(\S{10})T(\S{5}).*\+00:00$", r"\1 \2 UTC", str(facts.header.get("created") or "")),
        "run": words.shortened(run.path.name.removesuffix(".partial"), 200),
        "path": shlex.quote(str(run.path).removesuffix(".partial")),
        "n": facts.n_readable,
        "n_groups": facts.n_groups,
        "n_unreadable": len(facts.unreadable()),
        "n_duplicates": int(facts.duplicate.sum()),
        "n_near": facts.n_near,
        "n_corrections": facts.n_corrections,
        "n_joined": facts.n_joined,
        "n_gone": facts.n_gone,
        "n_noise": noise,
        "noise_share": words.share(noise, facts.n_readable),
    }


def _warnings(facts: Facts) -> dict[str, Any]:
    """Return every warning once, those of the run and those of its summary; what was only said stands with the how."""
    found = [*(facts.header.get("warnings") or []), *(facts.summary.get("warnings") or [])]
    shown, made = to_look_at(words.shortened(str(w), 1000) for w in found)
    return {"shown": shown[:MAX_WARNINGS], "more": max(0, len(shown) - MAX_WARNINGS), "made": made[:MAX_WARNINGS]}


def _unreadable(facts: Facts) -> dict[str, Any]:
    rows = facts.unreadable()
    shown = [
        {"path": words.shortened(facts.paths[i], 200), "reason": words.shortened(facts.reasons[i] or "unknown", 300)}
        for i in rows[:MAX_REASONS]
    ]
    return {"shown": shown, "n": len(rows), "more": len(rows) - len(shown)}


def _duplicates(facts: Facts) -> dict[str, Any]:
    sets = facts.duplicates()
    shown = [
        {
            "first": words.shortened(facts.paths[rows[0]], 160),
            "others": [words.shortened(facts.paths[i], 160) for i in rows[1 : 1 + MAX_IN_SET]],
            "more": max(0, len(rows) - 1 - MAX_IN_SET),
        }
        for rows in sets[:MAX_TWINS]
    ]
    return {"shown": shown, "n": int(facts.duplicate.sum()), "n_sets": len(sets), "more": len(sets) - len(shown)}
