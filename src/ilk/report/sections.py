"""The parts of a report made of words and numbers: how K was chosen, scores, parameters, times, versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ilk.report import curves, words
from ilk.report.curves import CRITERIA
from ilk.report.facts import Facts
from ilk.runs import Run

MAX_K_ROWS = 120
MAX_PARAMETERS = 200
MAX_LABELS = 5000
SCORES = {
    "acc": ("ACC", "accuracy under the best one-to-one match of groups and labels"),
    "nmi": ("NMI", "normalised mutual information, arithmetic mean"),
    "nmi_geometric": ("NMI (geometric)", "normalised by the geometric mean, as in older papers"),
    "ari": ("ARI", "adjusted Rand index; 0 is chance"),
    "purity": ("purity", "share of images that carry the majority label of their group"),
}
STAGES = {
    "list": "list files",
    "encode": "decode and encode",
    "reduce": "reduce",
    "map": "2-D map",
    "cluster": "group",
    "name": "words for groups",
    "report": "pictures and report",
}


def choice_view(run: Run, facts: Facts) -> dict[str, Any]:
    """Return how the number of groups came about: the table, the curves, and whether the number is clear."""
    table = [row for row in run.k_table() if words.finite(row.get("k")) is not None]
    table.sort(key=lambda row: int(row["k"]))
    params = {**(facts.header.get("params") or {}), **(facts.header.get("resolved") or {})}
    asked = (facts.header.get("params") or {}).get("n_clusters", params.get("n_clusters"))
    taken = params.get("n_clusters")
    k = taken if isinstance(taken, int) and any(row["k"] == taken for row in table) else facts.n_groups
    names = curves.suggestions(facts, k)
    criteria = curves.criteria(table)
    best = {name: curves.best(name, points) for name, points in criteria.items()}
    columns = ["k", *criteria]
    whole = {name for name, points in criteria.items() if all(float(y).is_integer() for _, y in points)} | {"k"}
    record = facts.header.get("choice") or {}
    clear = record.get("clear")
    return {
        "k": k,
        "given": isinstance(asked, int) and not isinstance(asked, bool),
        "asked": asked if isinstance(asked, int) else None,
        "is_clear": clear if isinstance(clear, bool) else None,
        "why": words.plain(record.get("why") or "", 600),
        "space": words.plain(record.get("space") or "", 100),
        "number": words.finite(record.get("number")),
        "columns": [_heading(c) for c in columns],
        "rows": [
            {
                "k": int(row["k"]),
                "cells": [(_cell(row.get(c), c in whole), best.get(c) == int(row["k"])) for c in columns],
                "names": [name for name in names.get(int(row["k"]), []) if name != "taken"],
            }
            for row in table[:MAX_K_ROWS]
        ],
        "more": max(0, len(table) - MAX_K_ROWS),
        "suggested": [(name, value) for value, group in names.items() for name in group if name != "taken"],
        "best": [(CRITERIA[name][0], value) for name, value in best.items() if value is not None and name in CRITERIA],
        "curves": [c for name, points in criteria.items() if (c := _curve(name, points, k, names, best[name]))],
    }


def _cell(value: Any, whole: bool) -> str:
    return words.count(value) if whole and words.finite(value) is not None else words.decimal(value)


def _heading(column: str) -> str:
    if column not in CRITERIA:
        return "K" if column == "k" else column.replace("_", " ")
    name, _, more = CRITERIA[column]
    return f"{name} {'↑' if more else '↓'}"


def _curve(
    criterion: str, points: curves.Points, k: int, names: Mapping[int, list[str]], best: int | None
) -> dict[str, Any] | None:
    """Return one criterion in the units of a 640 × 268 drawing; None below two points."""
    if len(points) < 2:
        return None
    low, high = min(y for _, y in points), max(y for _, y in points)
    span = (high - low) or 0.1
    # even steps: candidates lie denser among small numbers, where the choice is made
    step = 560 / (len(points) - 1)
    drawn = [
        {
            "x": round(52 + step * i, 1),
            "y": round(214 - 170 * (y - low) / span, 1),
            "k": int(x),
            "value": words.decimal(y),
            "taken": x == k,
            "best": x == best,
            "name": ", ".join(names.get(int(x), [])),
            "anchor": "start" if i < 2 else "end" if i > len(points) - 3 else "middle",
            "tick": i % (len(points) // 14 + 1) == 0,
        }
        for i, (x, y) in enumerate(points)
    ]
    name, unit, _ = CRITERIA.get(criterion, (criterion.replace("_", " "), "", True))
    whole = all(float(y).is_integer() for _, y in points)
    limits = {"low": _cell(low, whole), "high": _cell(high, whole)}
    return {"name": name, "unit": unit, "points": drawn, "first": drawn[0]["k"], "last": drawn[-1]["k"], **limits}


def scores_view(scores: Mapping[str, Any] | None, facts: Facts) -> dict[str, Any] | None:
    """Return what `ilk evaluate` found, or None where the run was not scored."""
    if not scores:
        return None
    shown = [
        {"name": name, "about": about, "value": words.decimal(scores[key])}
        for key, (name, about) in SCORES.items()
        if words.finite(scores.get(key)) is not None
    ]
    return {
        "shown": shown,
        "n": scores.get("n_scored"),
        "labels": words.plain(scores.get("labels") or "", 200),
        "majority": _majority(scores),
    }


def _majority(scores: Mapping[str, Any]) -> dict[int, str]:
    """Return the majority label of every group with its share, from scores.json's ``clusters``."""
    found = {}
    for group, record in list((scores.get("clusters") or {}).items())[:MAX_LABELS]:
        part = words.finite(record.get("share"))
        found[int(group)] = str(record.get("class")) + ("" if part is None else f" ({words.share(part, 1)})")
    return found


def how_view(run: Run, facts: Facts) -> dict[str, Any]:
    """Return method, encoder, parameters, times, command and versions."""
    header = facts.header
    asked: Mapping[str, Any] = header.get("params") or {}
    resolved: Mapping[str, Any] = header.get("resolved") or {}
    names = list(dict.fromkeys([*asked, *resolved]))
    source = {k: v for k, v in (header.get("source") or {}).items() if k not in ("spec", "folder", "passed_over")}
    facts_of_run = {
        "method": header.get("method"),
        "seed": header.get("seed"),
        "device": header.get("device"),
        "commit": header.get("commit"),
        **{f"source {k}": v for k, v in source.items()},
        "run folder": str(run.path).removesuffix(".partial"),
    }
    return {
        "encoder": _encoder(facts),
        "parameters": [
            {
                "name": words.shortened(str(name), 80),
                "asked": words.plain(asked[name]) if name in asked else "",
                "used": words.plain(resolved.get(name, asked.get(name))),
            }
            for name in names[:MAX_PARAMETERS]
        ],
        "more_parameters": max(0, len(names) - MAX_PARAMETERS),
        "facts": [(key, words.plain(value)) for key, value in facts_of_run.items() if value not in (None, "")],
        "seconds": _seconds(facts),
        "rate": _rate(facts),
        "command": words.shortened(words.command_line(header.get("command")), 4000),
        "versions": [(str(k), words.plain(v)) for k, v in list((header.get("versions") or {}).items())[:100]],
    }


def _rate(facts: Facts) -> str:
    """Return how fast images were decoded and encoded, and how many of them came from the cache."""
    rate = words.finite(facts.summary.get("images_per_second"))
    record = facts.header.get("encoded") or {}
    now, cached = (words.finite(record.get(key)) or 0 for key in ("now", "cached"))
    if cached and not now:
        return "all images from the cache"
    if not rate:
        return ""
    rest = f", {words.count(cached)} of {words.count(now + cached)} from the cache" if cached else ""
    return f"{rate:,.0f} images/s decoded and encoded{rest}"


def _encoder(facts: Facts) -> dict[str, Any] | None:
    encoder = facts.header.get("encoder") or facts.summary.get("encoder")
    if not encoder:
        return None
    if not isinstance(encoder, Mapping):
        encoder = {"name": encoder}
    notes = encoder.get("notes") or []
    return {
        "name": words.plain(encoder.get("name") or "", 120),
        "why": words.plain(encoder.get("why") or "", 600),
        "backend": words.plain(encoder.get("backend") or "", 200),
        "notes": [words.plain(n, 600) for n in ([notes] if isinstance(notes, str) else notes)[:20]],
    }


def _seconds(facts: Facts) -> list[dict[str, Any]]:
    """Return the stages with their share of the longest one; the total last, without a bar."""
    record = facts.header.get("seconds") or facts.summary.get("seconds") or {}
    stages = [(str(name), s) for name, value in record.items() if (s := words.finite(value)) is not None]
    longest = max((s for name, s in stages if name != "total"), default=0) or 1
    stages.sort(key=lambda stage: stage[0] == "total")
    return [
        {
            "name": STAGES.get(name, name),
            "seconds": s,
            "percent": 0 if name == "total" else round(100 * s / longest, 1),
            "total": name == "total",
        }
        for name, s in stages[:50]
    ]
