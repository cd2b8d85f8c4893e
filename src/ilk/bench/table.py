"""The table of a recipe: ours beside what was published."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ilk.bench.recipe import SCORES, Data, Recipe, Row
from ilk.bench.results import results_of

__all__ = ["collected", "markdown"]

Records = Sequence[Mapping[str, Any]]


def collected(recipe: Recipe, data: Data) -> list[tuple[Row, list[dict[str, Any]]]]:
    """Return for every row of `data` its results, one per seed; the least reduced that there are."""
    every = results_of(recipe)
    found = []
    for row in recipe.rows:
        if data.name in row.data:
            mine = [r for r in every.values() if r["data"] == data.name and r["row"] == row.name and _same(r, row)]
            longest = max((_minutes(r) for r in mine), default=0.0)
            found.append((row, sorted((r for r in mine if _minutes(r) == longest), key=lambda r: int(r["seed"]))))
    return found


def _minutes(record: Mapping[str, Any]) -> float:
    """Return the budget of a result; infinity for a whole one."""
    return float(record["budget"]["minutes"]) if record.get("budget") else float("inf")


def _same(record: Mapping[str, Any], row: Row) -> bool:
    """Whether a result is of this very row, where several share a name because one setting is swept."""
    if row.swept is None:
        return True
    key, value = row.swept
    job = record["job"]
    return bool(
        (job["images"] if key == "images" else job["options"].get({"clusters": "n_clusters"}.get(key, key))) == value
    )


def markdown(recipe: Recipe, only: Collection[str] = ()) -> str:
    """Return one Markdown table per data set: mean ± standard deviation over seeds beside the published figures.

    Parameters
    ----------
    recipe
    only
        Names of data sets; empty: all.
    """
    lines = [f"# {recipe.title}", ""]
    hardware: list[str] = []
    for data in recipe.data.values():
        rows = collected(recipe, data) if not only or data.name in only else []
        if rows:
            lines += _of_data(recipe, data, rows)
            hardware += [record["hardware"] for _, records in rows for record in records]
    lines += [f"* {note}" for note in recipe.notes]
    lines.append("* mean ± standard deviation over seeds, of the final epoch; bold: the best three of a column.")
    command = f"ilk bench {recipe.path.parent.name}/{recipe.path.name} --only ROW"
    lines.append(f"* What is not run yet: `{command}` runs it, or goes on with it.")
    if hardware:
        lines.append(f"* Hardware: {'; '.join(sorted(set(hardware)))}.")
    return "\n".join(lines) + "\n"


def _of_data(recipe: Recipe, data: Data, rows: list[tuple[Row, list[dict[str, Any]]]]) -> list[str]:
    heads = [head for score in recipe.scores for head in (SCORES[score], "published")]
    lines = [f"## {data.name}" + (f": {data.about}" if data.about else ""), ""]
    lines += [_line(["method", *heads, "seeds", "minutes", "GiB", "note"]), _line(["---"] * (len(heads) + 5))]
    best = {score: _best_three([_mean(records, score) for _, records in rows]) for score in recipe.scores}
    known = {score: _best_three([_published(row, data, score) for row, _ in rows]) for score in recipe.scores}
    for row, records in rows:
        scored = [record for record in records if record["scores"]]
        cells = [row.name + (f" ({row.swept[0]} {row.swept[1]:,})" if row.swept else "")]
        for score in recipe.scores:
            cells += [_ours(scored, score, best[score]), _shown(_published(row, data, score), known[score])]
        minutes = [record["seconds"]["total"] / 60 for record in scored]
        cells += [str(len(scored) or ""), f"{statistics.mean(minutes):.1f}" if minutes else ""]
        peaks = [record["peak_rss_mib"] / 1024 for record in scored if record.get("peak_rss_mib")]
        cells.append(f"{max(peaks):.1f}" if peaks else "")
        lines.append(_line([*cells, _note(recipe, row, data, records)]))
    return [*lines, ""]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _mean(records: Records, score: str) -> float | None:
    values = [record["scores"][score] for record in records if record["scores"]]
    return statistics.mean(values) if values else None


def _published(row: Row, data: Data, score: str) -> float | None:
    value = row.published.get(data.name, {}).get(score)
    return None if value is None else float(value)


def _best_three(values: Sequence[float | None]) -> float:
    """Return the least value that is still among the best three; infinity where there are no more than three."""
    known = sorted((round(value, 3) for value in values if value is not None), reverse=True)
    return known[2] if len(known) > 3 else float("inf")


def _ours(records: Records, score: str, least: float) -> str:
    values = [record["scores"][score] for record in records]
    if not values:
        return ""
    spread = f" ± {_short(statistics.stdev(values))}" if len(values) > 1 else ""
    return _shown(statistics.mean(values), least) + spread


def _shown(value: float | None, least: float) -> str:
    if value is None:
        return ""
    return f"**{_short(value)}**" if round(value, 3) >= least else _short(value)


def _short(value: float) -> str:
    """Return three digits without the leading zero.

    >>> _short(0.9771), _short(-0.01), _short(1.0)
    ('.977', '-.010', '1.000')
    """
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def _note(recipe: Recipe, row: Row, data: Data, records: Records) -> str:
    """Return what has to be known of a line: what is missing, reduced, copied or went wrong."""
    notes = [row.note] if row.note else []
    figures = row.published.get(data.name, {})
    notes += [f"published: copied from {figures['copied']}"] if "copied" in figures else []
    notes += [str(figures["note"])] if "note" in figures else []
    reduced = next((record["budget"] for record in records if record.get("budget")), None)
    if reduced:
        less = [f"{reduced['images']:,} images"] if "images" in reduced else []
        less += [f"{key} = {value}" for key, value in reduced.get("settings", {}).items()]
        notes.append(f"reduced to {reduced['minutes']:g} minutes: {', '.join(less)}")
    if row.images is not None:
        notes.append(f"{row.images:,} images")
    if any(record["device"] not in ("cpu", None, "auto") for record in records if record["scores"]):
        notes.append("on a GPU")
    wrong = [str(record["seed"]) for record in records if not record["scores"]]
    notes += [f"seed {', '.join(wrong)}: no score ({records[-1].get('error', 'no labels')})"] if wrong else []
    if not records:
        missing_data = f"data not available here{': ' if data.get else ''}{data.get}"
        notes.append(f'not run yet (`--only "{row.name}"`)' if data.here() else missing_data)
    elif missing := [str(seed) for seed in row.seeds if seed not in [record["seed"] for record in records]]:
        notes.append(f"seed {', '.join(missing)} not run yet")
    return "; ".join(notes)
