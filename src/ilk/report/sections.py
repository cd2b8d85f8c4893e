"""The parts of a report made of words and numbers: how K was chosen, scores, parameters, times, versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ilk.report import words
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
CRITERIA = {
    "k": "K",
    "silhouette": "silhouette ↑",
    "stability": "stability ↑",
    "calinski_harabasz": "Calinski-Harabasz ↑",
    "davies_bouldin": "Davies-Bouldin ↓",
    "rank_sum": "rank sum ↓",
}
STAGES = {
    "list": "list files",
    "encode": "decode and encode",
    "reduce": "reduce",
    "map": "2-D map",
    "cluster": "group",
    "report": "pictures and report",
}


def choice_view(run: Run, facts: Facts) -> dict[str, Any]:
    """Return how the number of groups came about: the table, the curve, and a sentence."""
    table = [row for row in run.k_table() if words.finite(row.get("k")) is not None]
    table.sort(key=lambda row: int(row["k"]))
    params = {**(facts.header.get("params") or {}), **(facts.header.get("resolved") or {})}
    asked = (facts.header.get("params") or {}).get("n_clusters", params.get("n_clusters"))
    taken = params.get("n_clusters")
    k = taken if isinstance(taken, int) and any(row["k"] == taken for row in table) else facts.n_groups
    columns = list(dict.fromkeys(key for row in table for key in row))
    names: dict[int, list[str]] = {}
    for name, value in (facts.summary.get("suggested") or {}).items():
        if value is not None:
            names.setdefault(int(value), []).append(str(name))
    return {
        "k": k,
        "given": isinstance(asked, int) and not isinstance(asked, bool),
        "asked": asked if isinstance(asked, int) else None,
        "columns": [CRITERIA.get(c, c.replace("_", " ")) for c in columns],
        "rows": [
            {"k": row["k"], "cells": [words.decimal(row.get(c)) for c in columns], "names": names.get(row["k"], [])}
            for row in table[:MAX_K_ROWS]
        ],
        "more": max(0, len(table) - MAX_K_ROWS),
        "suggested": [(name, value) for value, group in names.items() for name in group],
        "curve": _curve(table, k, names),
    }


def _curve(table: list[dict[str, Any]], k: int, names: Mapping[int, list[str]]) -> dict[str, Any] | None:
    """Return the silhouette curve in the units of a 640 × 260 drawing."""
    points = [(int(row["k"]), words.finite(row.get("silhouette"))) for row in table]
    known = [(x, y) for x, y in points if y is not None]
    if len(known) < 2:
        return None
    low, high = min(y for _, y in known), max(y for _, y in known)
    span = (high - low) or 0.1
    first, last = known[0][0], known[-1][0]
    # even steps: candidates lie denser among small numbers, where the choice is made
    step = 560 / (len(known) - 1)
    drawn = [
        {
            "x": round(52 + step * i, 1),
            "y": round(214 - 170 * (y - low) / span, 1),
            "k": x,
            "value": words.decimal(y),
            "taken": x == k,
            "name": ", ".join([*names.get(x, []), *(["taken"] if x == k else [])]),
            "anchor": "start" if i < 2 else "end" if i > len(known) - 3 else "middle",
            "tick": i % (len(known) // 14 + 1) == 0,
        }
        for i, (x, y) in enumerate(known)
    ]
    return {"points": drawn, "low": words.decimal(low), "high": words.decimal(high), "first": first, "last": last}


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
    for group, told in list((scores.get("clusters") or {}).items())[:MAX_LABELS]:
        part = words.finite(told.get("share"))
        found[int(group)] = str(told.get("class")) + ("" if part is None else f" ({words.share(part, 1)})")
    return found


def how_view(run: Run, facts: Facts) -> dict[str, Any]:
    """Return method, encoder, parameters, times, command and versions."""
    header = facts.header
    asked: Mapping[str, Any] = header.get("params") or {}
    resolved: Mapping[str, Any] = header.get("resolved") or {}
    names = list(dict.fromkeys([*asked, *resolved]))
    source = {k: v for k, v in (header.get("source") or {}).items() if k != "spec"}
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
        "rate": words.finite(facts.summary.get("images_per_second")),
        "command": words.shortened(words.command_line(header.get("command")), 4000),
        "versions": [(str(k), words.plain(v)) for k, v in list((header.get("versions") or {}).items())[:100]],
    }


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
    told = facts.header.get("seconds") or facts.summary.get("seconds") or {}
    stages = [(str(name), s) for name, value in told.items() if (s := words.finite(value)) is not None]
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
